"""Transcripts on their way from an engine to its reader."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from stt_service.engine import Final, Partial, Transcript


class TranscriptQueue:
    """Finals in order, and at most one partial: the newest.

    A partial that was not read yet is replaced by the next, and dropped when a final comes. A final waits while
    `max_finals` are unread.
    """

    def __init__(self, max_finals: int = 8) -> None:
        self._max_finals = max_finals
        self._finals: deque[Final] = deque()
        self._partial: Partial | None = None
        self._error: Exception | None = None
        self._closed = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()

    def put_partial(self, partial: Partial) -> None:
        """Offer `partial` in place of any before it."""
        self._partial = partial
        self._changed.set()

    async def put_final(self, final: Final) -> None:
        """Add `final`; waits for room."""
        while len(self._finals) >= self._max_finals:
            self._room.clear()
            await self._room.wait()
        self._partial = None
        self._finals.append(final)
        self._changed.set()

    def close(self) -> None:
        """End the reader once it has read what is here."""
        self._closed = True
        self._changed.set()

    def fail(self, error: Exception) -> None:
        """Raise `error` at the reader, before anything it has not read."""
        self._error = error
        self._changed.set()

    async def read(self) -> AsyncGenerator[Transcript]:
        """Everything put in, until closed; for one reader."""
        while True:
            self._changed.clear()
            if self._error is not None:
                raise self._error
            if self._finals:
                final = self._finals.popleft()
                self._room.set()
                yield final
            elif self._partial is not None:
                partial, self._partial = self._partial, None
                yield partial
            elif self._closed:
                return
            else:
                await self._changed.wait()
