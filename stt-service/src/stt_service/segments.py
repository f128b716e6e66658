"""Numbers the segments of a microphone and the revisions of their final transcripts."""

from __future__ import annotations

from dataclasses import replace

from service_kit.audio import AudioChunk
from service_kit.errors import InvalidRequest

from stt_service.engine import FinalTranscript, Segment


class SegmentCounter:
    """Tracks the open segment of one microphone, numbered from 1, and the span of its audio."""

    def __init__(self, max_ms: float) -> None:
        self._max_ms = max_ms
        self._open = Segment(1)
        self._has_audio = False
        self._revised_id = 0
        self._revision = 0

    def add_audio(self, chunk: AudioChunk) -> Segment:
        """Add audio to the open segment and return it. Raises `InvalidRequest` when it exceeds `max_ms`."""
        start_ms = self._open.start_ms if self._has_audio else chunk.start_ms
        self._open = replace(self._open, start_ms=start_ms, end_ms=max(chunk.end_ms, start_ms))
        self._has_audio = True
        if self._open.end_ms - start_ms > self._max_ms:
            raise InvalidRequest(
                "stt.segment_too_long", f"segment {self._open.id} was not committed within {self._max_ms:.0f} ms"
            )
        return self._open

    def require_open(self, segment_id: int) -> Segment:
        """Return the open segment. Raises `InvalidRequest` when it is not `segment_id`."""
        if segment_id != self._open.id:
            raise InvalidRequest("stt.wrong_segment", f"segment {self._open.id} is open, not {segment_id}")
        return self._open

    def commit_segment(self, segment_id: int) -> Segment:
        """Close the open segment and open the next. Raises `InvalidRequest` when it is not `segment_id`."""
        closed = self.require_open(segment_id)
        self._open = Segment(closed.id + 1, closed.end_ms, closed.end_ms)
        self._has_audio = False
        return closed

    def next_revision(self, final: FinalTranscript) -> int:
        """Return the number of `final` among the finals of its segment, from 1.

        The finals of a segment must come one after another.
        """
        self._revision = self._revision + 1 if final.segment.id == self._revised_id else 1
        self._revised_id = final.segment.id
        return self._revision
