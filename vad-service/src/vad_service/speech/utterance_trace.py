"""Trace spans for utterances, as part of the trace of the turn they belong to."""

from __future__ import annotations

import time

from service_kit.observability import tracing

from vad_service.events import Event, SpeechStarted, SpeechStopped, TurnEndPredicted


class UtteranceTrace:
    """Records one span per utterance, from the start of speech to the first turn-end prediction after it.

    One call serves many turns, and the client names a turn only after its speech was detected. The span is therefore
    created when the utterance is over, in the trace of the turn named in the meantime.
    """

    def __init__(self) -> None:
        self._traceparent = ""
        self._started_ns: int | None = None
        self._edges: list[tuple[str, int]] = []

    def set_turn(self, traceparent: str) -> None:
        """Assign the current utterance, and those that follow, to the turn with this W3C trace context."""
        self._traceparent = traceparent

    def record(self, event: Event) -> None:
        """Record an event that was sent to the client."""
        match event:
            case SpeechStarted():
                self._started_ns = self._started_ns or time.time_ns()
                self._edges.append(("speech started", time.time_ns()))
            case SpeechStopped():
                self._edges.append(("speech stopped", time.time_ns()))
            case TurnEndPredicted():
                self._record_span(event)
            case _:
                pass

    def _record_span(self, predicted: TurnEndPredicted) -> None:
        started_ns, edges = self._started_ns, self._edges
        self._started_ns, self._edges = None, []
        if started_ns is None or not self._traceparent:
            return
        span = tracing.tracer().start_span(
            "utterance",
            context=tracing.remote_context(self._traceparent),
            start_time=started_ns,
            attributes={"probability": predicted.probability, "predictor": predicted.predictor},
        )
        for name, at_ns in edges:
            span.add_event(name, timestamp=at_ns)
        span.end()
