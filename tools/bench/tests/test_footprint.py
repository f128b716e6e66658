"""What processes take, measured on real ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from footprint import Footprint, between, snapshot

# When told to, takes a third of a processor second itself, lets a child take as much, and waits to be told to end.
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
# Processor time is told in ticks of 10 ms, and starting the child's Python takes some, too.
TICKS_S, START_S = 0.1, 0.3


class Worker:
    """A process that works when it is told to."""

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
        # What starting it took is spent before anybody looks.
        assert process.stdout.readline() == "here\n"
        yield Worker(process)


def during(work: Callable[[], None], **roots: int) -> Footprint:
    before = snapshot(roots)
    work()
    return between(before, snapshot(roots))


def test_work_of_a_process_and_of_its_ended_child_is_counted_for_its_group_only(worker: Worker):
    taken = during(worker.work, tests=os.getpid(), worker=worker.pid)
    assert WORK_S - TICKS_S <= taken.cpu_s["worker"] <= WORK_S + START_S
    assert taken.cpu_s["tests"] < WORK_S - TICKS_S
    assert taken.rss_bytes["worker"] > 1 << 20


def test_work_of_a_process_in_no_group_is_that_of_others(worker: Worker):
    taken = during(worker.work)
    # A process is charged for what the hypervisor took from it meanwhile; a processor is not.
    assert (taken.others_share + taken.stolen_share) * taken.seconds >= WORK_S - TICKS_S
    assert taken.others_share == pytest.approx(sum(taken.busy_share.values()))


def test_a_process_whose_parent_is_a_root_belongs_to_it(worker: Worker):
    taken = during(worker.work, tests=os.getpid())
    assert taken.cpu_s["tests"] >= WORK_S - TICKS_S
