"""Lends out the few things that can each speak one phrase at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from service_kit.errors import AtCapacity

# A phrase that has waited for a free place for so long is refused.
ACQUIRE_TIMEOUT_S = 3.0

Engine = TypeVar("Engine")


class EnginePool(Generic[Engine]):
    """Who speaks; whoever comes when all do waits, and is refused when that takes too long."""

    def __init__(self, speakers: Sequence[Engine], wait_s: float = ACQUIRE_TIMEOUT_S) -> None:
        self._count = len(speakers)
        self._wait_s = wait_s
        self._free = list(speakers)
        self._slots = asyncio.Semaphore(len(speakers))

    @property
    def free_count(self) -> int:
        """How many more phrases could be spoken now."""
        return len(self._free)

    @asynccontextmanager
    async def acquire(self) -> AsyncGenerator[Engine]:
        """A speaker of one's own while the context lasts. Raises `AtCapacity` when none becomes free in time."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._slots.acquire()
        except TimeoutError as error:
            raise AtCapacity("tts.slots_busy", f"all {self._count} slots are speaking") from error
        speaker = self._free.pop()
        try:
            yield speaker
        finally:
            self._free.append(speaker)
            self._slots.release()
