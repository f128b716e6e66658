"""A microphone outlives many turns: each turn's trace gets the utterances that belong to it."""

from __future__ import annotations

from vad_service.speech.events import Activity, SpeechStarted, SpeechStopped, TurnEndPredicted
from vad_service.speech.utterance_trace import UtteranceTrace

TURN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STARTED, STOPPED = SpeechStarted(640, 340), SpeechStopped(1280)
JUDGED = TurnEndPredicted(1280, 200, 0.75, "pause")


def told(*events) -> UtteranceTrace:
    trace = UtteranceTrace()
    for event in events:
        if isinstance(event, str):
            trace.belongs_to(event)
        else:
            trace.on(event)
    return trace


def test_an_utterance_is_part_of_the_turn_that_was_named_while_it_lasted(spans):
    told(STARTED, TURN, Activity(700, 0.9), STOPPED, JUDGED)
    (span,) = spans()
    assert span.name == "utterance"
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TURN[3:35], TURN[36:52])
    assert dict(span.attributes) == {"probability": 0.75, "predictor": "pause"}
    assert [event.name for event in span.events] == ["speech started", "speech stopped"]
    assert span.start_time <= span.events[0].timestamp <= span.events[1].timestamp <= span.end_time


def test_a_breath_does_not_divide_an_utterance(spans):
    told(STARTED, TURN, STOPPED, STARTED, STOPPED, JUDGED)
    (span,) = spans()
    assert len(span.events) == 4


def test_speech_that_goes_on_after_a_judgement_is_told_as_the_same_turns_next_utterance(spans):
    told(STARTED, TURN, STOPPED, JUDGED, STARTED, STOPPED, JUDGED)
    assert [f"{span.context.trace_id:032x}" for span in spans()] == [TURN[3:35]] * 2


def test_a_silence_that_is_judged_again_is_told_once(spans):
    told(STARTED, TURN, STOPPED, JUDGED, JUDGED)
    assert len(spans()) == 1


def test_speech_that_nobody_traces_has_no_span(spans):
    told(STARTED, STOPPED, JUDGED)
    assert spans() == []
