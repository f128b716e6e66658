"""What a transcript took, told to the turn that waits for it."""

from __future__ import annotations

from opentelemetry.trace import Span, SpanKind
from service_kit.observability import tracing


class TranscriptTrace:
    """The spans of one call, one a flush: a microphone stays open for many turns, and each has a trace of its own."""

    def __init__(self) -> None:
        self._open: dict[int, Span] = {}

    def asked(self, segment_id: int, traceparent: str) -> None:
        """A transcript was asked for, by a turn that is traced if `traceparent` says so."""
        self._end(segment_id)
        if traceparent and tracing.is_recording():
            self._open[segment_id] = tracing.tracer().start_span(
                "final transcript",
                context=tracing.remote_context(traceparent),
                kind=SpanKind.SERVER,
                attributes={"segment_id": segment_id},
            )

    def answered(self, segment_id: int, revision: int) -> None:
        """The transcript went out."""
        if span := self._open.pop(segment_id, None):
            span.set_attribute("revision", revision)
            span.end()

    def close(self) -> None:
        """The call is over; what was asked for will not come."""
        for segment_id in list(self._open):
            self._end(segment_id)

    def _end(self, segment_id: int) -> None:
        if span := self._open.pop(segment_id, None):
            span.set_attribute("cancelled", True)
            span.end()
