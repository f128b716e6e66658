"""The last seconds of a microphone, for whoever finds out late that they mattered."""

from __future__ import annotations

from collections import deque

from service_kit.audio import AudioChunk

# How far back speech can be found to have begun: pre-roll, the detector's hysteresis, and time for the event to come.
_KEPT_MS = 2_000


class RecentAudio:
    """Keeps what was heard last; what is older is forgotten."""

    def __init__(self) -> None:
        self._chunks: deque[AudioChunk] = deque()

    def append(self, chunk: AudioChunk) -> None:
        """Take what follows."""
        self._chunks.append(chunk)
        while self._chunks[0].start_ms < chunk.start_ms - _KEPT_MS:
            self._chunks.popleft()

    def since(self, from_ms: int) -> list[AudioChunk]:
        """What was heard from a moment of the audio clock on, in whole chunks."""
        return [chunk for chunk in self._chunks if chunk.end_ms > from_ms]

    def until(self, to_ms: int) -> list[AudioChunk]:
        """What was heard up to a moment of the audio clock, in whole chunks."""
        return [chunk for chunk in self._chunks if chunk.end_ms <= to_ms]
