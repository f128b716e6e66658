"""Trace spans for final transcripts, as part of the trace of the turn that requested them."""

from __future__ import annotations

from opentelemetry.trace import Span, SpanKind
from service_kit.observability import tracing


class TranscriptTrace:
    """Records one span per flush of a call: a call serves many turns, each with a trace of its own."""

    def __init__(self) -> None:
        self._open: dict[int, Span] = {}

    def on_flush(self, segment_id: int, traceparent: str) -> None:
        """Open a span for a requested transcript; `traceparent` is the turn's W3C trace context, empty if untraced."""
        self._cancel(segment_id)
        if traceparent and tracing.is_recording():
            self._open[segment_id] = tracing.tracer().start_span(
                "final transcript",
                context=tracing.remote_context(traceparent),
                kind=SpanKind.SERVER,
                attributes={"segment_id": segment_id},
            )

    def on_final(self, segment_id: int, revision: int) -> None:
        """Close the span of a transcript that was sent."""
        if span := self._open.pop(segment_id, None):
            span.set_attribute("revision", revision)
            span.end()

    def close(self) -> None:
        """Close the remaining spans as cancelled, at the end of the call."""
        for segment_id in list(self._open):
            self._cancel(segment_id)

    def _cancel(self, segment_id: int) -> None:
        if span := self._open.pop(segment_id, None):
            span.set_attribute("cancelled", True)
            span.end()
