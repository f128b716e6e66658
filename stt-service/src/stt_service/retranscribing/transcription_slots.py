"""Places at a model that all microphones share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any


class FinalsFirst:
    """`places` clips at one time. A final waits for its turn, and ends a partial that is in its way; a partial never
    waits: where there is no room at once, there is none, since it would be stale when its turn came.
    """

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)
        self._partials: list[asyncio.Task[Any]] = []
        self._waiting_finals = 0

    @asynccontextmanager
    async def final(self) -> AsyncGenerator[None]:
        """A place for a final; waits only for other finals."""
        self._waiting_finals += 1
        try:
            self._make_room()
            await self._places.acquire()
        finally:
            self._waiting_finals -= 1
        try:
            yield
        finally:
            self._places.release()

    @asynccontextmanager
    async def partial(self) -> AsyncGenerator[bool]:
        """Whether there is a place for a partial; the task that holds it is cancelled when a final needs it."""
        task = asyncio.current_task()
        if self._places.locked() or task is None:
            yield False
            return
        async with self._places:
            self._partials.append(task)
            try:
                yield True
            finally:
                if task in self._partials:
                    self._partials.remove(task)

    def _make_room(self) -> None:
        """End as many partials as finals wait; those that are ending already count."""
        going = [task for task in self._partials if task.cancelling()]
        staying = [task for task in self._partials if not task.cancelling()]
        if self._places.locked() and staying and len(going) < self._waiting_finals:
            staying[-1].cancel()
