"""The trace of a turn: a root span with a child span per stage, by the same times as the waterfall.

The spans of stages with work in other services (`think`, `speak`) are open while the stage lasts, so that the services'
spans become their children; the other spans are recorded when the turn ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, Span, get_current_span
from service_kit.observability import tracing
from service_kit.observability.context import SESSION_ID, TURN_REVISION

Outcome = Literal["finished", "interrupted", "unanswered", "session_ended"]

# The span in which a waterfall stage is recorded as an event.
_SPAN_OF_STAGE = {"first_token": "think", "first_phrase": "speak", "first_audio": "speak"}


@dataclass(slots=True)
class CurrentTurnTrace:
    """The open turn of a session, for the microphone's calls to VAD and STT, which outlive many turns."""

    traceparent: str = ""


# The open turn of the current task's session; None without tracing.
CURRENT_TURN_TRACE: ContextVar[CurrentTurnTrace | None] = ContextVar("listened_turn", default=None)


@dataclass(frozen=True, slots=True)
class StageTimes:
    """When a turn's stages were reached, on the loop's clock; `speech_end_s` is None for a turn without speech."""

    speech_end_s: float | None
    reached_s: Mapping[str, float]


class TurnTrace:
    """The spans of one turn. Without a span, nothing is recorded."""

    def __init__(self, span: Span = INVALID_SPAN, started_s: float = 0.0, epoch_ns: int = 0) -> None:
        self._span = span
        self._started_s = started_s
        # Unix time of the loop clock's zero, one value for the whole turn, so that its times are consistent.
        self._epoch_ns = epoch_ns
        self._context = tracing.span_context(span)
        self._open_spans: dict[str, Span] = {}
        self._ended = False

    @property
    def trace_id(self) -> str:
        """Hexadecimal trace id; empty without tracing."""
        return tracing.trace_id(self._span)

    @property
    def log_fields(self) -> dict[str, str]:
        """The fields that log records of this turn carry."""
        return {"trace_id": self.trace_id} if self.trace_id else {}

    @contextmanager
    def open_stage(self, name: str) -> Generator[None]:
        """Open the span of a stage; spans that start inside are its children."""
        attributes = {"revision": TURN_REVISION.get()}
        span = tracing.tracer().start_span(name, context=self._context, attributes=attributes)
        self._open_spans[name] = span
        try:
            with tracing.current(span):
                yield
        finally:
            if self._open_spans.get(name) is span:
                del self._open_spans[name]

    def record_stage(self, stage: str, at_s: float) -> None:
        """Record a waterfall stage as an event of its span, if that is open."""
        if span := self._open_spans.get(_SPAN_OF_STAGE.get(stage, "")):
            span.add_event(stage, timestamp=self._ns(at_s))

    def record_failure(self, code: str, stage: str = "") -> None:
        """Record a failure on the turn and, if open, on `stage`. The turn may continue."""
        tracing.record_failure(self._span, code)
        tracing.record_failure(self._open_spans.get(stage, INVALID_SPAN), code)

    def end(self, outcome: Outcome, times: StageTimes, now_s: float) -> None:
        """End the turn's span and record its stages; only the first call counts."""
        if self._ended or not self._span.is_recording():
            return
        self._ended = True
        reached = times.reached_s
        end_s = now_s
        if outcome == "unanswered":
            end_s = max([self._started_s, times.speech_end_s or 0.0, *reached.values()])
        self._record_stages(times, end_s)
        if outcome == "interrupted":
            self._span.add_event("barge_in", timestamp=self._ns(now_s))
        self._span.set_attribute("outcome", outcome)
        zero_s = times.speech_end_s or reached.get("turn_committed")
        if zero_s is not None and (sent_s := reached.get("first_frame_sent")) is not None:
            self._span.set_attribute("response_latency_ms", round((sent_s - zero_s) * 1000))
        self._span.end(self._ns(end_s))

    def _ns(self, at_s: float) -> int:
        return _ns(at_s, self._epoch_ns)

    def _record_stages(self, times: StageTimes, end_s: float) -> None:
        reached = times.reached_s
        if (speech_end_s := times.speech_end_s) is not None:
            self._record_span("listen", self._started_s, speech_end_s)
            self._record_span("transcribe", speech_end_s, reached.get("final_transcript"))
            stopped_s = reached.get("speech_stopped")
            self._record_span("endpointing", speech_end_s, reached.get("turn_committed"), speech_stopped=stopped_s)
        if (sent_s := reached.get("first_frame_sent")) is not None:
            self._record_span("playout", sent_s, end_s, first_sample_heard=reached.get("first_sample_heard"))

    def _record_span(self, name: str, from_s: float, until_s: float | None, **events: float | None) -> None:
        if until_s is None:
            return
        span = tracing.tracer().start_span(name, context=self._context, start_time=self._ns(from_s))
        for event, at_s in events.items():
            if at_s is not None:
                span.add_event(event, timestamp=self._ns(at_s))
        span.end(self._ns(max(from_s, until_s)))


def begin_turn(turn_id: int, started_s: float) -> TurnTrace:
    """Start the trace of a turn that began `started_s` on the loop's clock, linked to the span of its session.

    It becomes the `CURRENT_TURN_TRACE` of the session.
    """
    epoch_ns = time.time_ns() - _ns(asyncio.get_running_loop().time())
    span = tracing.tracer().start_span(
        "turn",
        context=Context(),
        links=[Link(get_current_span().get_span_context())],
        start_time=_ns(started_s, epoch_ns),
        attributes={"session_id": SESSION_ID.get(), "turn_id": turn_id},
    )
    if listened := CURRENT_TURN_TRACE.get():
        listened.traceparent = tracing.traceparent(span)
    return TurnTrace(span, started_s, epoch_ns)


@contextmanager
def traced_session() -> Generator[None]:
    """Open the span of a session; the microphone's calls are its children."""
    CURRENT_TURN_TRACE.set(CurrentTurnTrace() if tracing.is_recording() else None)
    with tracing.current(tracing.tracer().start_span("session", attributes={"session_id": SESSION_ID.get()})):
        yield


def _ns(seconds: float, epoch_ns: int = 0) -> int:
    return epoch_ns + round(seconds * 1e9)
