"""A CPU budget for the audio turn-end model."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

from service_kit.token_bucket import TokenBucket

T = TypeVar("T")

# CPU time that may be spent ahead, in seconds: a dozen predictions at once.
_BURST_S = 1.0


class CpuBudget:
    """Runs work while it has used no more than `share` of this machine's CPU time, and measures what it uses.

    For use by one thread. `clock_s` is any clock in seconds, `cpu_time_s` the calling thread's CPU time.
    """

    def __init__(
        self,
        share: float,
        clock_s: Callable[[], float] = time.monotonic,
        cpu_time_s: Callable[[], float] = time.thread_time,
    ) -> None:
        self._bucket = TokenBucket(share * len(os.sched_getaffinity(0)), _BURST_S)
        self._clock_s = clock_s
        self._cpu_time_s = cpu_time_s

    def run_if_affordable(self, work: Callable[[], T]) -> T | None:
        """Run `work` and return its result; return None without running it when the budget is exhausted."""
        if self._bucket.spend(0, self._clock_s()) > 0:
            return None
        started_s = self._cpu_time_s()
        try:
            return work()
        finally:
            self._bucket.spend(self._cpu_time_s() - started_s, self._clock_s())
