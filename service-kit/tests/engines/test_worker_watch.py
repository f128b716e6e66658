"""When a worker process counts as hung: by its processor time, and by real time where that is not known."""

from __future__ import annotations

import os
import sys
import time

import pytest
from service_kit.engines.worker_watch import WorkerWatch, processor_time_s


class Process:
    """The clocks of a process that is watched."""

    def __init__(self, stall_s: float | None = 3.0, used_s: float | None = 0.0) -> None:
        self.now_s, self.used_s = 100.0, used_s
        self.watch = WorkerWatch(45.0, stall_s, lambda: self.now_s, lambda: self.used_s)

    def hang_within(self, checks: int, share: float = 0.0) -> str:
        """Why it counts as hung within so many checks, while it gets this share of a core."""
        for _ in range(checks):
            self.now_s += self.watch.check_s
            if self.used_s is not None:
                self.used_s += share * self.watch.check_s
            if reason := self.watch.find_hang():
                return reason
        return ""


def test_a_process_without_a_request_does_not_hang() -> None:
    process = Process()
    assert process.hang_within(100) == ""
    process.watch.begin_request(10)
    process.watch.end_request()
    process.watch.end_request()
    assert (process.hang_within(100), process.watch.unanswered) == ("", 0)


def test_a_process_that_does_nothing_hangs_after_the_stall() -> None:
    process = Process()
    process.watch.begin_request(10)
    assert process.hang_within(3) == ""
    assert process.hang_within(1) == "it did nothing for 3.0 s"


def test_a_slow_process_does_not_hang() -> None:
    process = Process()
    process.watch.begin_request(10)
    # A hundredth of a core, for ten minutes.
    assert process.hang_within(800, share=0.01) == ""


def test_a_pause_of_the_machine_is_no_stall() -> None:
    process = Process()
    process.watch.begin_request(10)
    process.now_s += 3600
    assert process.watch.find_hang() == ""
    assert process.hang_within(20, share=0.1) == ""


def test_a_process_that_computes_too_long_hangs() -> None:
    process = Process()
    process.watch.begin_request(10)
    process.watch.begin_request(5)
    assert process.hang_within(20, share=1) == ""
    assert process.hang_within(2, share=1) == "it computed for 15.8 s, 15.0 s were allowed"


def test_a_frame_begins_the_times_anew() -> None:
    process = Process()
    process.watch.begin_request(10)
    process.watch.begin_request(10)
    assert process.hang_within(3) == ""
    process.watch.hear_frame()
    process.watch.end_request()
    assert process.hang_within(3) == ""
    assert process.hang_within(13, share=1) == ""
    assert process.hang_within(1, share=1).startswith("it computed for")


@pytest.mark.parametrize(("stall_s", "used_s"), [(None, 0.0), (3.0, None)])
def test_real_time_decides_without_processor_time(stall_s: float | None, used_s: float | None) -> None:
    process = Process(stall_s, used_s)
    process.watch.begin_request(10)
    checks = int(45 / process.watch.check_s)
    assert process.hang_within(checks) == ""
    assert process.hang_within(1).startswith("it sent nothing for ")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_processor_time_is_that_of_the_process() -> None:
    before_s = processor_time_s(os.getpid())
    until_s = time.process_time() + 0.05
    while time.process_time() < until_s:
        pass
    after_s = processor_time_s(os.getpid())
    assert before_s is not None
    assert after_s is not None
    assert after_s - before_s >= 0.05
    assert processor_time_s(2**22 + 1) is None
