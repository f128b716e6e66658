"""What is dropped or corrected of the messages of voice activity and speech-to-text."""

from __future__ import annotations

import math

import pytest
from orchestrator.conversation.input.peer_checks import checked_event, without_bad_numbers
from orchestrator.conversation.messages.server import PredictorOpinion, Word
from orchestrator.conversation.model.ports import (
    FinalTranscript,
    PartialTranscript,
    SpeechStarted,
    SpeechStopped,
    TurnEndPredicted,
)

POSITION_MS = 5_000
FUTURE_MS = 6_000
BAD = [math.nan, math.inf, -math.inf, -0.01, 1.01]


@pytest.mark.parametrize(
    "event",
    [
        SpeechStarted(5_050, 4_800),
        SpeechStopped(4_900),
        TurnEndPredicted(4_900, 0.0, "rule"),
        TurnEndPredicted(4_900, 1.0, "rule", opinions=(PredictorOpinion("text", 0.5),)),
    ],
)
def test_plausible_events_pass_unchanged(event):
    assert checked_event(event, POSITION_MS) is event


@pytest.mark.parametrize(
    "event", [SpeechStarted(FUTURE_MS, 4_800), SpeechStopped(FUTURE_MS), TurnEndPredicted(FUTURE_MS, 0.5, "rule")]
)
def test_events_of_the_future_are_dropped(event):
    assert checked_event(event, POSITION_MS) is None


@pytest.mark.parametrize("bad", BAD)
def test_predictions_without_a_probability_are_dropped(bad):
    assert checked_event(TurnEndPredicted(4_900, bad, "rule"), POSITION_MS) is None
    opinions = (PredictorOpinion("text", bad),)
    assert checked_event(TurnEndPredicted(4_900, 0.5, "rule", opinions=opinions), POSITION_MS) is None


def test_a_pre_roll_after_the_start_is_cut_to_it():
    assert checked_event(SpeechStarted(4_000, 4_500), POSITION_MS) == SpeechStarted(4_000, 4_000)


@pytest.mark.parametrize("bad", BAD)
def test_bad_confidences_do_not_cost_the_words(bad):
    words = (Word("good", 0, 100, bad), Word("evening", 100, 200, 0.5))
    final = FinalTranscript(1, 1, "good evening", 200, "en", ("god evening",), bad, words, bad)
    checked_words = (Word("good", 0, 100, None), Word("evening", 100, 200, 0.5))
    assert without_bad_numbers(final) == FinalTranscript(
        1, 1, "good evening", 200, "en", ("god evening",), None, checked_words, None
    )
    partial = PartialTranscript(1, "good", 200, "en", bad)
    assert without_bad_numbers(partial) == PartialTranscript(1, "good", 200, "en", None)


def test_good_transcripts_pass_unchanged():
    final = FinalTranscript(1, 1, "good", 200, "en", (), 0.9, (Word("good", 0, 100, 1.0),), 0.8)
    partial = PartialTranscript(1, "good", 200, "en", 0.0)
    assert without_bad_numbers(final) is final
    assert without_bad_numbers(partial) is partial
