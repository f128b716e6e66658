"""What speech-to-text has been told since the last closed segment, kept so that a restarted peer can be told again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from service_kit.audio import AudioChunk, joined

from orchestrator.conversation.model.ports import SpeechToTextStream
from orchestrator.metrics import SEGMENT_CHUNKS_REFUSED

# About two minutes of 20 ms frames: what is said beyond that in one breath is not transcribed.
_MAX_ENTRIES = 6_000
# Chunks that may travel in one message: below a second of them.
_RUN = 25


@dataclass(frozen=True, slots=True)
class _Flush:
    segment_id: int


@dataclass(frozen=True, slots=True)
class _Commit:
    segment_id: int


class SegmentLog:
    """Audio, flushes and commits in order, written to one stream after another.

    Segments are numbered by the session. A stream numbers its own from 1, so a stream opened in the middle of a
    session counts from the first segment that it is told of.
    """

    def __init__(self) -> None:
        self._entries: list[AudioChunk | _Flush | _Commit] = []
        self._written = 0
        self._more = asyncio.Event()
        # The segment that the log's first entry belongs to.
        self._first_segment_id = 1
        # What to add to a stream's numbers to get the session's.
        self.offset = 0

    def append_audio(self, chunk: AudioChunk) -> None:
        """Speech of the open segment."""
        if len(self._entries) >= _MAX_ENTRIES:
            SEGMENT_CHUNKS_REFUSED.inc()
            return
        self._append(chunk)

    def flush_segment(self, segment_id: int) -> None:
        """The transcript is wanted."""
        self._append(_Flush(segment_id))

    def commit_segment(self, segment_id: int) -> None:
        """The segment is closed."""
        self._append(_Commit(segment_id))

    async def write_to(self, stream: SpeechToTextStream) -> None:
        """Tell a new stream everything since the last closed segment, then all that follows. Until cancelled."""
        self._written = 0
        self.offset = self._first_segment_id - 1
        while True:
            while self._written < len(self._entries):
                await self._write_next(stream)
            self._more.clear()
            await self._more.wait()

    async def _write_next(self, stream: SpeechToTextStream) -> None:
        entry = self._entries[self._written]
        self._written += 1
        match entry:
            case AudioChunk():
                chunks = self._run_from(entry)
                for chunk in joined(chunks):
                    await stream.push_audio(chunk)
            case _Flush():
                await stream.flush_segment(entry.segment_id - self.offset)
            case _Commit():
                await stream.commit_segment(entry.segment_id - self.offset)
                # Told and closed: nobody needs it again.
                del self._entries[: self._written]
                self._written = 0
                self._first_segment_id = entry.segment_id + 1

    def _run_from(self, chunk: AudioChunk) -> list[AudioChunk]:
        """`chunk` and the audio that waits right behind it, which counts as written."""
        run = [chunk]
        while self._written < len(self._entries) and len(run) < _RUN:
            entry = self._entries[self._written]
            if not isinstance(entry, AudioChunk):
                break
            run.append(entry)
            self._written += 1
        return run

    def _append(self, entry: AudioChunk | _Flush | _Commit) -> None:
        self._entries.append(entry)
        self._more.set()
