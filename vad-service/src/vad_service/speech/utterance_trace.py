"""What an utterance was to turn detection, told to the turn it belongs to."""

from __future__ import annotations

import time

from service_kit.observability import tracing

from vad_service.speech.events import Event, SpeechStarted, SpeechStopped, TurnEndPredicted


class UtteranceTrace:
    """The spans of one call, from the start of speech to the first judgement on the silence after it.

    A microphone stays open for many turns, and a turn begins when its speech has been detected already: so a span is
    made when its utterance is over, for the turn that was named in the meantime.
    """

    def __init__(self) -> None:
        self._traceparent = ""
        self._started_ns: int | None = None
        self._edges: list[tuple[str, int]] = []

    def belongs_to(self, traceparent: str) -> None:
        """The speech since the last edge, and all that follows, is part of this turn."""
        self._traceparent = traceparent

    def on(self, event: Event) -> None:
        """An event went out."""
        match event:
            case SpeechStarted():
                self._started_ns = self._started_ns or time.time_ns()
                self._edges.append(("speech started", time.time_ns()))
            case SpeechStopped():
                self._edges.append(("speech stopped", time.time_ns()))
            case TurnEndPredicted():
                self._tell(event)
            case _:
                pass

    def _tell(self, judged: TurnEndPredicted) -> None:
        started_ns, edges = self._started_ns, self._edges
        self._started_ns, self._edges = None, []
        if started_ns is None or not self._traceparent:
            return
        span = tracing.tracer().start_span(
            "utterance",
            context=tracing.remote_context(self._traceparent),
            start_time=started_ns,
            attributes={"probability": judged.probability, "predictor": judged.predictor},
        )
        for name, at_ns in edges:
            span.add_event(name, timestamp=at_ns)
        span.end()
