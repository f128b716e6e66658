"""A pool of engine instances, each of which speaks one phrase at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from service_kit.errors import AtCapacity

# A phrase that waits longer than this for a free instance is refused.
ACQUIRE_TIMEOUT_S = 3.0

Engine = TypeVar("Engine")


class EnginePool(Generic[Engine]):
    """Engine instances that are free or in use. Phrases wait in order for a free instance, at most `timeout_s`."""

    def __init__(self, engines: Sequence[Engine], timeout_s: float = ACQUIRE_TIMEOUT_S) -> None:
        self._count = len(engines)
        self._timeout_s = timeout_s
        self._free = list(engines)
        self._permits = asyncio.Semaphore(len(engines))

    @property
    def free_count(self) -> int:
        """Number of free instances."""
        return len(self._free)

    @asynccontextmanager
    async def acquire(self) -> AsyncGenerator[Engine]:
        """Reserve an instance while the context lasts. Raises `AtCapacity` when none becomes free in time."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._permits.acquire()
        except TimeoutError as error:
            raise AtCapacity("tts.slots_busy", f"all {self._count} slots are in use; retry later") from error
        engine = self._free.pop()
        try:
            yield engine
        finally:
            self._free.append(engine)
            self._permits.release()
