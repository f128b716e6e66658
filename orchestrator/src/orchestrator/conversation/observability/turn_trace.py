"""A turn as a trace: a root span, and below it the stages, by the same moments as the waterfall's.

The stages that others work for (`think`, `speak`) are open while they last, so that the services' spans can be their
children; the others are told when the turn is over.
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

_EVENTS_OF = {"first_token": "think", "first_phrase": "speak", "first_audio": "speak"}


@dataclass(slots=True)
class ListenedTurn:
    """The turn that a session listens to; its microphone's calls, which outlive many turns, look it up here."""

    traceparent: str = ""


# Of the session that a task works for; None where nothing is traced.
LISTENED_TURN: ContextVar[ListenedTurn | None] = ContextVar("listened_turn", default=None)


@dataclass(frozen=True, slots=True)
class Moments:
    """When a turn's stages were reached, on the loop's clock; `speech_end_s` is None for one that was not spoken."""

    speech_end_s: float | None
    reached_s: Mapping[str, float]


class TurnTrace:
    """The spans of one turn. Without a span of its own it does nothing."""

    def __init__(self, span: Span = INVALID_SPAN, started_s: float = 0.0, epoch_ns: int = 0) -> None:
        self._span = span
        self._started_s = started_s
        # Where the loop's clock began, on the world's: one for the whole turn, so that its times fit together.
        self._epoch_ns = epoch_ns
        self._below = tracing.span_context(span)
        self._open: dict[str, Span] = {}
        self._over = False

    @property
    def trace_id(self) -> str:
        """In hexadecimal; empty where nothing is traced."""
        return tracing.trace_id(self._span)

    @property
    def log_fields(self) -> dict[str, str]:
        """What a connection of the log says of it."""
        return {"trace_id": self.trace_id} if self.trace_id else {}

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        """A stage while it lasts: what is called inside is its child."""
        attributes = {"revision": TURN_REVISION.get()}
        span = tracing.tracer().start_span(name, context=self._below, attributes=attributes)
        self._open[name] = span
        try:
            with tracing.current(span):
                yield
        finally:
            if self._open.get(name) is span:
                del self._open[name]

    def reached(self, stage: str, at_s: float) -> None:
        """A stage of the waterfall was reached."""
        if span := self._open.get(_EVENTS_OF.get(stage, "")):
            span.add_event(stage, timestamp=self._ns(at_s))

    def fail(self, code: str, stage: str = "") -> None:
        """Something of the turn broke, in a stage that is open if one is named. The turn may go on."""
        tracing.record_failure(self._span, code)
        tracing.record_failure(self._open.get(stage, INVALID_SPAN), code)

    def end(self, outcome: Outcome, moments: Moments, now_s: float) -> None:
        """The turn is over; only the first end counts."""
        if self._over or not self._span.is_recording():
            return
        self._over = True
        reached = moments.reached_s
        over_s = now_s
        if outcome == "unanswered":
            over_s = max([self._started_s, moments.speech_end_s or 0.0, *reached.values()])
        self._tell_stages(moments, over_s)
        if outcome == "interrupted":
            self._span.add_event("barge_in", timestamp=self._ns(now_s))
        self._span.set_attribute("outcome", outcome)
        zero_s = moments.speech_end_s or reached.get("turn_committed")
        if zero_s is not None and (sent_s := reached.get("first_frame_sent")) is not None:
            self._span.set_attribute("response_latency_ms", round((sent_s - zero_s) * 1000))
        self._span.end(self._ns(over_s))

    def _ns(self, at_s: float) -> int:
        return _ns(at_s, self._epoch_ns)

    def _tell_stages(self, moments: Moments, over_s: float) -> None:
        reached = moments.reached_s
        if (spoken_s := moments.speech_end_s) is not None:
            self._tell("listen", self._started_s, spoken_s)
            self._tell("transcribe", spoken_s, reached.get("final_transcript"))
            noticed_s = reached.get("speech_stopped")
            self._tell("endpointing", spoken_s, reached.get("turn_committed"), speech_stopped=noticed_s)
        if (sent_s := reached.get("first_frame_sent")) is not None:
            self._tell("playout", sent_s, over_s, first_sample_heard=reached.get("first_sample_heard"))

    def _tell(self, name: str, from_s: float, until_s: float | None, **events: float | None) -> None:
        if until_s is None:
            return
        span = tracing.tracer().start_span(name, context=self._below, start_time=self._ns(from_s))
        for event, at_s in events.items():
            if at_s is not None:
                span.add_event(event, timestamp=self._ns(at_s))
        span.end(self._ns(max(from_s, until_s)))


def begin_turn(turn_id: int, started_s: float) -> TurnTrace:
    """The trace of a turn that began `started_s` on the loop's clock, linked to its session's.

    From now on, it is the one listened to.
    """
    epoch_ns = time.time_ns() - _ns(asyncio.get_running_loop().time())
    span = tracing.tracer().start_span(
        "turn",
        context=Context(),
        links=[Link(get_current_span().get_span_context())],
        start_time=_ns(started_s, epoch_ns),
        attributes={"session_id": SESSION_ID.get(), "turn_id": turn_id},
    )
    if listened := LISTENED_TURN.get():
        listened.traceparent = tracing.traceparent(span)
    return TurnTrace(span, started_s, epoch_ns)


@contextmanager
def traced_session() -> Generator[None]:
    """The span of a session, for as long as it lasts; the microphone's calls are its children."""
    LISTENED_TURN.set(ListenedTurn() if tracing.is_recording() else None)
    with tracing.current(tracing.tracer().start_span("session", attributes={"session_id": SESSION_ID.get()})):
        yield


def _ns(seconds: float, epoch_ns: int = 0) -> int:
    return epoch_ns + round(seconds * 1e9)
