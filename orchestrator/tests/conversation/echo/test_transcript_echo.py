"""Echo suppression by transcript: the anchor's words, even misheard, against the user's."""

from __future__ import annotations

import time

import pytest
from orchestrator.conversation.echo.transcript_echo import PlaybackContext, is_echo, playback_context
from orchestrator.conversation.model.ports import SpeechMark

REPLY_TEXT = "Tomorrow it will be 19 degrees in Leipzig, with a light wind from the north."


@pytest.mark.parametrize(
    "transcript",
    [
        "tomorrow it will",
        "Leipzig",
        "leipsig with a light wind",
        "be ninety degrees in leipzig",
        "nineteen degrees",
        "it will be nineteen degrees in",
        "light win from the",
        "wind from north",
    ],
)
def test_words_of_the_reply_are_an_echo(transcript):
    assert is_echo(transcript, REPLY_TEXT)


@pytest.mark.parametrize(
    "transcript",
    [
        "did you say nineteen degrees",
        "what did you say about Leipzig",
        "stop",
        "why",
        "and in Berlin",
        "north the from wind",
        "nineteen",
        "that is light",
        "",
        " - ",
    ],
)
def test_other_words_are_no_echo(transcript):
    assert not is_echo(transcript, REPLY_TEXT)


def test_no_playback_has_no_echo():
    assert not is_echo("tomorrow", "")


@pytest.mark.parametrize(
    ("transcript", "played"),
    [
        ("आज मौसम अच्छा है", "आज मौसम अच्छा है और धूप निकली है"),
        ("el tiempo manana", "El tiempo mañana será bueno"),
        ("der zug fährt um", "Der Zug fährt um 8 Uhr ab."),
    ],
)
def test_echo_is_recognised_in_any_script(transcript, played):
    assert is_echo(transcript, played)


def test_comparing_a_long_utterance_takes_milliseconds():
    began_s = time.process_time()
    is_echo("a sentence that does not occur in the reply at all " * 3, REPLY_TEXT * 2)
    assert time.process_time() - began_s < 0.1


# Playback context ---------------------------------------------------------------------------------------------------

TEXT = "one two three four five six seven eight nine ten"
# One word per second.
MARKS = [
    SpeechMark(TEXT.index(word), TEXT.index(word) + len(word), 1000 * second)
    for second, word in enumerate(TEXT.split())
]


def context_at(at_ms, for_ms=0, duration_ms=None, text=TEXT, marks=MARKS):
    return playback_context(text, marks, at_ms=at_ms, for_ms=for_ms, duration_ms=duration_ms, language="en")


def test_context_spans_two_seconds_back_and_one_ahead():
    assert context_at(5_500).text == "four five six seven"


def test_context_grows_with_the_utterance():
    assert context_at(5_500, for_ms=2_000).text == "two three four five six seven"


def test_context_is_at_most_ten_seconds():
    text = " ".join(f"w{number}" for number in range(100, 140))
    marks = [SpeechMark(5 * number, 5 * number + 4, 1000 * number) for number in range(40)]
    assert context_at(30_000, for_ms=60_000, text=text, marks=marks).text == text[5 * 20 : 5 * 31 - 1]


def test_context_at_the_start_is_the_first_second():
    assert context_at(0).text == "one"


def test_context_without_marks_is_a_generous_estimate():
    text = "x" * 1_000
    length = len(context_at(10_000, text=text, marks=()).text)
    assert 100 <= length <= 250


@pytest.mark.parametrize(
    ("at_ms", "duration_ms", "text", "asking"),
    [
        (9_500, 10_000, TEXT + "?", True),
        (9_500, 10_000, TEXT + "? ", True),
        (5_000, 10_000, TEXT + "?", False),
        (9_500, 10_000, TEXT + ".", False),
        (9_500, None, TEXT + "?", False),
    ],
)
def test_question_counts_as_asked_in_its_last_second(at_ms, duration_ms, text, asking):
    assert context_at(at_ms, duration_ms=duration_ms, text=text).asking is asking


def test_default_context_is_empty():
    assert PlaybackContext() == PlaybackContext("", "en", asking=False)
