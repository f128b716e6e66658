"""A thread for blocking engine code, so that no engine knows asyncio and no engine blocks the loop."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from service_kit.errors import AtCapacity

T = TypeVar("T")


class EngineWorker:
    """One thread that does an engine's blocking work, one piece at a time, in the order it was asked for.

    A thread cannot be cancelled: a caller that goes away leaves its piece of work to finish, so pieces should be
    short. When `max_waiting` pieces wait already, a further one is refused with `AtCapacity`. Work that may take its
    time gives way to the loop, and to other services, with a `niceness` (0 to 19, as the scheduler has it).
    """

    def __init__(self, name: str, max_waiting: int, niceness: int = 0) -> None:
        self._name = name
        self._max_waiting = max_waiting
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_be_nice, initargs=(niceness,))

    async def run(self, work: Callable[[], T]) -> T:
        """Do `work` on the thread and return what it returns."""
        if self._waiting >= self._max_waiting:
            raise AtCapacity("engine.queue_full", f"{self._name} has {self._waiting} requests waiting")
        self._waiting += 1
        try:
            return await asyncio.wrap_future(self._thread.submit(work))
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Finish what was asked for and end the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)


def _be_nice(niceness: int) -> None:
    # Elsewhere than on Linux, threads have no niceness of their own.
    if niceness and sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + niceness))
