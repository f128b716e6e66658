"""Counting: which segment is open, what audio it spans, and which revision a final is."""

from __future__ import annotations

from dataclasses import replace

from service_kit.audio import AudioChunk
from service_kit.errors import InvalidRequest

from stt_service.engine import Final, Segment


class Segments:
    """The segments of one microphone, numbered from 1."""

    def __init__(self, max_ms: float) -> None:
        self._max_ms = max_ms
        self._open = Segment(1)
        self._heard_any = False
        self._revised_id = 0
        self._revision = 0

    def hear(self, chunk: AudioChunk) -> Segment:
        """Add audio to the open segment. Raises `InvalidRequest` when it grows beyond all measure."""
        start_ms = self._open.start_ms if self._heard_any else chunk.start_ms
        self._open = replace(self._open, start_ms=start_ms, end_ms=max(chunk.end_ms, start_ms))
        self._heard_any = True
        if self._open.end_ms - start_ms > self._max_ms:
            raise InvalidRequest(
                "stt.segment_too_long", f"segment {self._open.id} was not committed within {self._max_ms:.0f} ms"
            )
        return self._open

    def flush(self, segment_id: int) -> Segment:
        """The open segment, which must be `segment_id`."""
        if segment_id != self._open.id:
            raise InvalidRequest("stt.wrong_segment", f"segment {self._open.id} is open, not {segment_id}")
        return self._open

    def commit(self, segment_id: int) -> Segment:
        """Close the open segment, which must be `segment_id`, and open the next."""
        closed = self.flush(segment_id)
        self._open = Segment(closed.id + 1, closed.end_ms, closed.end_ms)
        self._heard_any = False
        return closed

    def revision(self, final: Final) -> int:
        """Count `final` among the finals of its segment, from 1; finals of a segment come one after another."""
        self._revision = self._revision + 1 if final.segment.id == self._revised_id else 1
        self._revised_id = final.segment.id
        return self._revision
