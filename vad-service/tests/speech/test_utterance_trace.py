"""Each turn's trace gets the spans of its utterances, though one call serves many turns."""

from __future__ import annotations

from vad_service.events import Activity, SpeechStarted, SpeechStopped, TurnEndPredicted
from vad_service.speech.utterance_trace import UtteranceTrace

TURN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STARTED, STOPPED = SpeechStarted(640, 340), SpeechStopped(1280)
PREDICTED = TurnEndPredicted(1280, 200, 0.75, "pause")


def record(*events) -> UtteranceTrace:
    trace = UtteranceTrace()
    for event in events:
        if isinstance(event, str):
            trace.set_turn(event)
        else:
            trace.record(event)
    return trace


def test_an_utterance_belongs_to_the_turn_named_during_it(spans):
    record(STARTED, TURN, Activity(700, 0.9), STOPPED, PREDICTED)
    (span,) = spans()
    assert span.name == "utterance"
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TURN[3:35], TURN[36:52])
    assert dict(span.attributes) == {"probability": 0.75, "predictor": "pause"}
    assert [event.name for event in span.events] == ["speech started", "speech stopped"]
    assert span.start_time <= span.events[0].timestamp <= span.events[1].timestamp <= span.end_time


def test_a_short_pause_does_not_split_an_utterance(spans):
    record(STARTED, TURN, STOPPED, STARTED, STOPPED, PREDICTED)
    (span,) = spans()
    assert len(span.events) == 4


def test_speech_after_a_prediction_is_the_turns_next_utterance(spans):
    record(STARTED, TURN, STOPPED, PREDICTED, STARTED, STOPPED, PREDICTED)
    assert [f"{span.context.trace_id:032x}" for span in spans()] == [TURN[3:35]] * 2


def test_a_repeated_prediction_adds_no_span(spans):
    record(STARTED, TURN, STOPPED, PREDICTED, PREDICTED)
    assert len(spans()) == 1


def test_speech_in_an_untraced_turn_has_no_span(spans):
    record(STARTED, STOPPED, PREDICTED)
    assert spans() == []
