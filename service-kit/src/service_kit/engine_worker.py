"""A thread for blocking engine code, so that no engine knows asyncio and no engine blocks the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from service_kit.errors import AtCapacity

T = TypeVar("T")


class EngineWorker:
    """One thread that does an engine's blocking work, one piece at a time, in the order it was asked for.

    A thread cannot be cancelled: a caller that goes away leaves its piece of work to finish, so pieces should be
    short. When `max_waiting` pieces wait already, a further one is refused with `AtCapacity`.
    """

    def __init__(self, name: str, max_waiting: int) -> None:
        self._name = name
        self._max_waiting = max_waiting
        self._waiting = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

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
