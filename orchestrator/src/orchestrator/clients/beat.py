"""A beat that many streams keep, so that what they send leaves in one go."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

# A message that leaves alone wakes a thread and a loop on either side; with many streams that is most of their cost.
# Each stream more stretches the beat a little; a few are not worth a wait.
_STRETCH_S = 0.001
_FREE_MEMBERS = 4


class Beat:
    """Wakes all members who wait together, at most every `longest_s`; with few members it does not hold them up."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._loop = asyncio.get_running_loop()
        self._members = 0
        self._waiting: list[asyncio.Future[None]] = []

    @contextmanager
    def joined(self) -> Generator[None]:
        """Be a member."""
        self._members += 1
        try:
            yield
        finally:
            self._members -= 1

    async def next(self) -> None:
        """Wait for the next beat."""
        interval_s = min(self._longest_s, (self._members - _FREE_MEMBERS) * _STRETCH_S)
        if interval_s <= 0:
            return
        if not self._waiting:
            # Beats fall on multiples of the interval, however long nobody waited.
            self._loop.call_at((self._loop.time() // interval_s + 1) * interval_s, self._strike)
        waiter = self._loop.create_future()
        self._waiting.append(waiter)
        await waiter

    def _strike(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
