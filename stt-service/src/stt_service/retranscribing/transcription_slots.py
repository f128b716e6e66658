"""Limits the clips at a model that all microphones share, with priority for finals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any


class TranscriptionSlots:
    """Allows `slots` clips at one time.

    A final waits for a slot, and cancels a running partial if there is none. A partial never waits: without a free slot
    it is skipped, because it would be stale by the time it got one.
    """

    def __init__(self, slots: int) -> None:
        self._slots = asyncio.Semaphore(slots)
        self._partials: list[asyncio.Task[Any]] = []
        self._waiting_finals = 0

    @asynccontextmanager
    async def final_slot(self) -> AsyncGenerator[None]:
        """Hold a slot for a final; waits only for other finals."""
        self._waiting_finals += 1
        try:
            self._cancel_partial()
            await self._slots.acquire()
        finally:
            self._waiting_finals -= 1
        try:
            yield
        finally:
            self._slots.release()

    @asynccontextmanager
    async def partial_slot(self) -> AsyncGenerator[bool]:
        """Hold a slot for a partial; yields False without a free slot. A final may cancel the task that holds it."""
        task = asyncio.current_task()
        if self._slots.locked() or task is None:
            yield False
            return
        async with self._slots:
            self._partials.append(task)
            try:
                yield True
            finally:
                if task in self._partials:
                    self._partials.remove(task)

    def _cancel_partial(self) -> None:
        """Cancel the newest partial, unless as many are being cancelled already as finals wait."""
        cancelling = [task for task in self._partials if task.cancelling()]
        running = [task for task in self._partials if not task.cancelling()]
        if self._slots.locked() and running and len(cancelling) < self._waiting_finals:
            running[-1].cancel()
