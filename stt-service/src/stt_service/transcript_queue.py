"""The queue of transcripts between an engine stream and its reader."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from stt_service.engine import FinalTranscript, PartialTranscript, Transcript


class TranscriptQueue:
    """Holds finals in order, and at most one partial: the newest.

    A newer partial replaces an unread one, and a final drops it. `put_final` waits while `max_finals` are unread.
    """

    def __init__(self, max_finals: int = 8) -> None:
        self._max_finals = max_finals
        self._finals: deque[FinalTranscript] = deque()
        self._partial: PartialTranscript | None = None
        self._error: Exception | None = None
        self._closed = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()

    def put_partial(self, partial: PartialTranscript) -> None:
        """Add `partial` in place of an unread one."""
        self._partial = partial
        self._changed.set()

    async def put_final(self, final: FinalTranscript) -> None:
        """Add `final`; waits while the queue is full."""
        while len(self._finals) >= self._max_finals:
            self._room.clear()
            await self._room.wait()
        self._partial = None
        self._finals.append(final)
        self._changed.set()

    def close(self) -> None:
        """End `read` after the transcripts in the queue."""
        self._closed = True
        self._changed.set()

    def fail(self, error: Exception) -> None:
        """Raise `error` in `read`, ahead of unread transcripts."""
        self._error = error
        self._changed.set()

    async def read(self) -> AsyncGenerator[Transcript]:
        """Yield the transcripts until `close`; for one reader."""
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
