"""The last seconds of a microphone, for consumers that need audio from before their event arrived."""

from __future__ import annotations

from collections import deque

from service_kit.audio import AudioChunk

# How far back speech can turn out to have started: pre-roll, the detector's hysteresis, the delay of the event, and the
# time in which the loss of a detector goes unnoticed.
_RETENTION_MS = 5_000
# How far back `until` goes: the search for echo costs time with every chunk.
_ECHO_MS = 2_000


class RecentAudio:
    """The newest microphone audio; older chunks are dropped."""

    def __init__(self) -> None:
        self._chunks: deque[AudioChunk] = deque()

    def append(self, chunk: AudioChunk) -> None:
        """Append the next chunk."""
        self._chunks.append(chunk)
        while self._chunks[0].start_ms < chunk.start_ms - _RETENTION_MS:
            self._chunks.popleft()

    def since(self, from_ms: int) -> list[AudioChunk]:
        """The audio from a time of the audio clock on, in whole chunks."""
        return [chunk for chunk in self._chunks if chunk.end_ms > from_ms]

    def until(self, to_ms: int) -> list[AudioChunk]:
        """The audio of the last `_ECHO_MS` up to a time of the audio clock, in whole chunks."""
        if not self._chunks:
            return []
        from_ms = self._chunks[-1].start_ms - _ECHO_MS
        return [chunk for chunk in self._chunks if chunk.start_ms >= from_ms and chunk.end_ms <= to_ms]
