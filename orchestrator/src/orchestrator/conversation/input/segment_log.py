"""Log of the audio and commands sent to speech-to-text since the last closed segment, for replay to a new stream."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from service_kit.audio import AudioChunk, joined

from orchestrator.conversation.model.ports import SpeechToTextStream
from orchestrator.metrics import SEGMENT_CHUNKS_REFUSED

# About two minutes of 20 ms frames: speech beyond that in one segment is not transcribed.
_MAX_ENTRIES = 6_000
# Chunks joined into one message at most: less than a second of audio.
_MAX_JOINED_CHUNKS = 25


@dataclass(frozen=True, slots=True)
class _Flush:
    segment_id: int


@dataclass(frozen=True, slots=True)
class _Commit:
    segment_id: int


class SegmentLog:
    """Audio, flushes and commits in order, written to one stream after another.

    Segments are numbered by the session. A stream numbers its own from 1, so a stream opened in mid-session counts from
    the first segment that is written to it.
    """

    def __init__(self) -> None:
        self._entries: list[AudioChunk | _Flush | _Commit] = []
        self._written = 0
        self._entry_added = asyncio.Event()
        # The segment of the log's first entry.
        self._first_segment_id = 1
        # Session segment id minus stream segment id.
        self.offset = 0
        # The segment that audio is appended to, and the end of its audio on the audio clock; 0 while it has none.
        self.open_segment_id = 1
        self.audio_end_ms = 0

    def append_audio(self, chunk: AudioChunk) -> None:
        """Append audio of the open segment; dropped and counted when the log is full."""
        if len(self._entries) >= _MAX_ENTRIES:
            SEGMENT_CHUNKS_REFUSED.inc()
            return
        self.audio_end_ms = chunk.end_ms
        self._append(chunk)

    def flush_segment(self, segment_id: int) -> None:
        """Append a flush: request the transcript of the segment."""
        self._append(_Flush(segment_id))

    def commit_segment(self, segment_id: int) -> None:
        """Append a commit: close the segment."""
        self.open_segment_id, self.audio_end_ms = segment_id + 1, 0
        self._append(_Commit(segment_id))

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits for a transcript: every segment is closed."""
        return not self._entries

    async def wait_for_entry(self) -> None:
        """Wait until something waits for a transcript. Safe to cancel."""
        while not self._entries:
            self._entry_added.clear()
            await self._entry_added.wait()

    async def write_to(self, stream: SpeechToTextStream) -> None:
        """Write all entries since the last closed segment to a new stream, then all later ones, until cancelled."""
        self._written = 0
        self.offset = self._first_segment_id - 1
        while True:
            while self._written < len(self._entries):
                await self._write_next(stream)
            self._entry_added.clear()
            await self._entry_added.wait()

    async def _write_next(self, stream: SpeechToTextStream) -> None:
        entry = self._entries[self._written]
        self._written += 1
        match entry:
            case AudioChunk():
                chunks = self._take_adjacent_audio(entry)
                for chunk in joined(chunks):
                    await stream.push_audio(chunk)
            case _Flush():
                await stream.flush_segment(entry.segment_id - self.offset)
            case _Commit():
                await stream.commit_segment(entry.segment_id - self.offset)
                # The segment is closed: it is never replayed.
                del self._entries[: self._written]
                self._written = 0
                self._first_segment_id = entry.segment_id + 1

    def _take_adjacent_audio(self, chunk: AudioChunk) -> list[AudioChunk]:
        """`chunk` and the audio entries directly behind it, which then count as written."""
        chunks = [chunk]
        while self._written < len(self._entries) and len(chunks) < _MAX_JOINED_CHUNKS:
            entry = self._entries[self._written]
            if not isinstance(entry, AudioChunk):
                break
            chunks.append(entry)
            self._written += 1
        return chunks

    def _append(self, entry: AudioChunk | _Flush | _Commit) -> None:
        self._entries.append(entry)
        self._entry_added.set()
