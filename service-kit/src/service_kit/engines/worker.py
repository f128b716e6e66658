"""A thread for blocking engine code: engines need no asyncio and do not block the event loop."""

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
    """One thread for an engine's blocking work, one call at a time, in the order of the requests.

    A thread cannot be cancelled: the work of a cancelled caller runs to its end, so each call should be short. With
    `max_waiting` calls waiting, `run` raises `AtCapacity`. A `niceness` of 1 to 19 lowers the thread's priority below
    the event loop and other services.
    """

    def __init__(self, name: str, max_waiting: int, niceness: int = 0) -> None:
        self._name = name
        self._max_waiting = max_waiting
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_lower_priority, initargs=(niceness,))

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` on the thread and return its result. Raises `AtCapacity` when the queue is full."""
        if self._waiting >= self._max_waiting:
            raise AtCapacity("engine.queue_full", f"{self._name} has {self._waiting} requests waiting")
        self._waiting += 1
        try:
            return await asyncio.wrap_future(self._thread.submit(work))
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Wait for the running call, drop the waiting ones, and end the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)


def _lower_priority(niceness: int) -> None:
    # Only Linux has a niceness for each thread.
    if niceness and sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + niceness))
