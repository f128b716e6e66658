"""Processor time and memory, measured on real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from footprint import Footprint, footprint_between, take_snapshot

# On a line of input, uses 0.35 s of processor time, runs a child that uses as much, and waits for another line.
WORKER = """
import subprocess, sys, time
if sys.argv[1] == "parent":
    print("here", flush=True)
    sys.stdin.readline()
until_s = time.process_time() + 0.35
while time.process_time() < until_s: pass
if sys.argv[1] == "parent":
    subprocess.run([sys.executable, "-S", __file__, "child"], check=True)
    print("done", flush=True)
    sys.stdin.readline()
"""
WORK_S = 2 * 0.35
# Processor time is counted in ticks of 10 ms, and starting the child's Python takes some, too.
TICKS_S, START_S = 0.1, 0.3


class Worker:
    """A process that works on command."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def work(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("work\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    script = tmp_path / "worker.py"
    script.write_text(WORKER, "utf-8")
    command = [sys.executable, "-S", str(script), "parent"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        # Its start is over before the first snapshot.
        assert process.stdout.readline() == "here\n"
        yield Worker(process)


def during(work: Callable[[], None], **roots: int) -> Footprint:
    before = take_snapshot(roots)
    work()
    return footprint_between(before, take_snapshot(roots))


def test_a_group_counts_its_process_and_ended_children(worker: Worker):
    used = during(worker.work, tests=os.getpid(), worker=worker.pid)
    assert WORK_S - TICKS_S <= used.cpu_s["worker"] <= WORK_S + START_S
    assert used.cpu_s["tests"] < WORK_S - TICKS_S
    assert used.rss_bytes["worker"] > 1 << 20


def test_a_process_outside_all_groups_counts_as_others(worker: Worker):
    used = during(worker.work)
    # Stolen time counts for a process, but not for a processor.
    assert (used.others_share + used.stolen_share) * used.seconds >= WORK_S - TICKS_S
    assert used.others_share == pytest.approx(sum(used.busy_share.values()))


def test_a_child_of_a_root_belongs_to_its_group(worker: Worker):
    used = during(worker.work, tests=os.getpid())
    assert used.cpu_s["tests"] >= WORK_S - TICKS_S
