"""Classification of a transcript over a reply: nothing, weak, words, backchannel or echo."""

from __future__ import annotations

import pytest
from orchestrator.conversation.echo.transcript_echo import PlaybackContext
from orchestrator.conversation.messages.server import BargeIn
from orchestrator.conversation.turns.barge_in import BargeInThresholds, TranscriptClass, classify_transcript

STORY = PlaybackContext("once upon a time there was a king", "en")
QUESTION = PlaybackContext("would you like tea or coffee?", "en", asking=True)

TRANSCRIPTS = {
    "empty text is nothing": ("", 400, STORY, None, TranscriptClass.NOTHING),
    "punctuation is nothing": (" ... ", 400, STORY, None, TranscriptClass.NOTHING),
    "one word is words": ("Berlin", 250, STORY, None, TranscriptClass.WORDS),
    "stop word in a very short sound is weak": ("no", 150, STORY, None, TranscriptClass.WEAK),
    "stop word in a very short sound with high confidence is words": ("no", 150, STORY, 0.9, TranscriptClass.WORDS),
    "stop word in a very short sound with low confidence is doubtful": (
        "no",
        150,
        STORY,
        0.3,
        TranscriptClass.DOUBTFUL,
    ),
    "few words with low confidence are doubtful": ("i'm sorry", 700, STORY, 0.2, TranscriptClass.DOUBTFUL),
    "few words with some confidence are words": ("ten clubs", 700, STORY, 0.44, TranscriptClass.WORDS),
    "more words with low confidence are words": ("break and nice speech", 700, STORY, 0.3, TranscriptClass.WORDS),
    "few words with low confidence in long speech are words": ("break nice", 1_000, STORY, 0.3, TranscriptClass.WORDS),
    "laughter is a backchannel": ("Hahaha.", 700, STORY, 0.2, TranscriptClass.BACKCHANNEL),
    "two words in a very short sound are words": ("wait please", 150, STORY, None, TranscriptClass.WORDS),
    "hum is a backchannel": ("Mmmhm.", 400, STORY, None, TranscriptClass.BACKCHANNEL),
    "backchannel followed by a word is words": ("yeah but", 400, STORY, None, TranscriptClass.WORDS),
    "backchannel of another language is words": ("genau", 400, STORY, None, TranscriptClass.WORDS),
    "backchannel of the reply's language is a backchannel": (
        "genau",
        400,
        PlaybackContext("es war einmal", "de"),
        None,
        TranscriptClass.BACKCHANNEL,
    ),
    "words of the reply are an echo": ("a time there", 400, STORY, None, TranscriptClass.ECHO),
    "quotation with other words is words": ("did you say a king", 400, STORY, None, TranscriptClass.WORDS),
    "assent after a question is words": ("yes", 400, QUESTION, None, TranscriptClass.WORDS),
    "hum after a question is a backchannel": ("mhm", 400, QUESTION, None, TranscriptClass.BACKCHANNEL),
    "offered choice after a question is words": ("coffee", 400, QUESTION, None, TranscriptClass.WORDS),
    "most of the question is an echo": ("you like tea or coffee", 400, QUESTION, None, TranscriptClass.ECHO),
}


@pytest.mark.parametrize(
    ("text", "voiced_ms", "playback", "confidence", "expected"), TRANSCRIPTS.values(), ids=TRANSCRIPTS
)
def test_transcript_class(text, voiced_ms, playback, confidence, expected):
    assert classify_transcript(text, voiced_ms, playback, BargeInThresholds(), confidence=confidence) is expected


def test_partial_backchannel_is_not_classified_as_words():
    assert classify_transcript("of", 300, STORY, BargeInThresholds(), more=True) is TranscriptClass.BACKCHANNEL
    assert classify_transcript("of course", 300, STORY, BargeInThresholds(), more=True) is TranscriptClass.BACKCHANNEL
    assert classify_transcript("yeah of", 300, STORY, BargeInThresholds(), more=True) is TranscriptClass.BACKCHANNEL
    assert classify_transcript("of", 300, STORY, BargeInThresholds()) is TranscriptClass.WORDS
    assert classify_transcript("Berlin", 280, STORY, BargeInThresholds(), more=True) is TranscriptClass.WEAK
    assert classify_transcript("stop", 280, STORY, BargeInThresholds(), more=True) is TranscriptClass.WORDS
    assert classify_transcript("of Berlin", 300, STORY, BargeInThresholds(), more=True) is TranscriptClass.WORDS


@pytest.mark.parametrize(
    ("text", "confidence", "expected"),
    [
        ("no", 0.6, TranscriptClass.DOUBTFUL),
        ("no", 0.76, TranscriptClass.WORDS),
        ("so", 0.78, TranscriptClass.DOUBTFUL),
        ("so", 0.8, TranscriptClass.WORDS),
        ("♪ ♪", 0.4, TranscriptClass.DOUBTFUL),
        ("this is the first time", 0.4, TranscriptClass.DOUBTFUL),
        ("what about", 0.8, TranscriptClass.WORDS),
        ("what about", None, TranscriptClass.WORDS),
        ("yeah", 0.4, TranscriptClass.BACKCHANNEL),
    ],
)
def test_partial_with_low_confidence_is_doubtful(text, confidence, expected):
    classified = classify_transcript(
        text, 400, STORY, BargeInThresholds(), confidence=confidence, more=True, is_partial=True
    )
    assert classified is expected


def test_fewer_words_than_the_minimum_are_weak_without_a_stop_word():
    rules = BargeInThresholds(min_words=3)
    assert classify_transcript("what about", 400, STORY, rules) is TranscriptClass.WEAK
    assert classify_transcript("what about Berlin", 400, STORY, rules) is TranscriptClass.WORDS
    assert classify_transcript("wait", 400, STORY, rules) is TranscriptClass.WORDS


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (BargeIn(), (500, 1_000, 1)),
        (BargeIn(stop_ms=300), (300, 1_000, 1)),
        # Speech that is held longer than other speech is not stopped earlier.
        (BargeIn(stop_ms=2_000, min_words=3), (2_000, 2_000, 3)),
    ],
)
def test_a_users_choice_replaces_the_thresholds_that_it_names(choice, expected):
    rules = BargeInThresholds().with_choice(choice)
    assert (rules.stop_ms, rules.hold_ms, rules.min_words) == expected
    assert rules.min_speech_ms == BargeInThresholds().min_speech_ms
