"""A thread for blocking engine code, so that no engine knows asyncio and no engine blocks the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
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

    @asynccontextmanager
    async def stream(self, work: Callable[[], Iterator[T]]) -> AsyncGenerator[AsyncIterator[T]]:
        """Run a blocking generator, one step of it at a time, as its consumer asks.

        Leaving the context closes the generator on the thread, so its `finally` runs there.
        """
        steps = await self.run(work)

        async def results() -> AsyncIterator[T]:
            end = object()
            while (item := await self.run(lambda: next(steps, end))) is not end:
                yield item  # type: ignore[misc]

        try:
            yield results()
        finally:
            close = getattr(steps, "close", None)
            if close is not None:
                await asyncio.shield(self.run(close))

    def close(self) -> None:
        """Finish what was asked for and end the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)
