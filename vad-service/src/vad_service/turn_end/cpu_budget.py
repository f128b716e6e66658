"""How much of this machine the voice may be listened to for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

from service_kit.token_bucket import TokenBucket

T = TypeVar("T")

# Processor time that may be spent ahead, in seconds: a dozen judgements that fall together.
_AHEAD_S = 1.0


class Thrift:
    """Does work while it has taken no more than `share` of the processors; measures it as it goes.

    For one thread. `clock_s` is any clock, `worked_s` this thread's processor time.
    """

    def __init__(
        self,
        share: float,
        clock_s: Callable[[], float] = time.monotonic,
        worked_s: Callable[[], float] = time.thread_time,
    ) -> None:
        self._allowance = TokenBucket(share * len(os.sched_getaffinity(0)), _AHEAD_S)
        self._clock_s = clock_s
        self._worked_s = worked_s

    def afford(self, work: Callable[[], T]) -> T | None:
        """What `work` returns; None, and no work, when too much has been spent."""
        if self._allowance.spend(0, self._clock_s()) > 0:
            return None
        began_s = self._worked_s()
        try:
            return work()
        finally:
            self._allowance.spend(self._worked_s() - began_s, self._clock_s())
