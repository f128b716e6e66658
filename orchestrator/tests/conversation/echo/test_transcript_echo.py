"""Echo: the anchor's own words are told from the user's, even misheard."""

from __future__ import annotations

import time

import pytest
from orchestrator.conversation.echo.transcript_echo import PlaybackContext, is_echo, playback_context
from orchestrator.conversation.model.ports import SpeechMark

SAID = "Tomorrow it will be 19 degrees in Leipzig, with a light wind from the north."


@pytest.mark.parametrize(
    "heard",
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
def test_the_anchors_words_are_an_echo(heard):
    assert is_echo(heard, SAID)


@pytest.mark.parametrize(
    "heard",
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
def test_the_users_words_are_not(heard):
    assert not is_echo(heard, SAID)


def test_nothing_echoes_silence():
    assert not is_echo("tomorrow", "")


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ("आज मौसम अच्छा है", "आज मौसम अच्छा है और धूप निकली है"),
        ("el tiempo manana", "El tiempo mañana será bueno"),
        ("der zug fährt um", "Der Zug fährt um 8 Uhr ab."),
    ],
)
def test_echo_is_heard_in_any_script(heard, said):
    assert is_echo(heard, said)


def test_judging_a_long_utterance_takes_no_time_worth_mentioning():
    began_s = time.process_time()
    is_echo("a sentence that nobody has said yet in these words " * 3, SAID * 2)
    assert time.process_time() - began_s < 0.1


# What can be heard ----------------------------------------------------------------------------------------------

TEXT = "one two three four five six seven eight nine ten"
# A word a second.
MARKS = [
    SpeechMark(TEXT.index(word), TEXT.index(word) + len(word), 1000 * second)
    for second, word in enumerate(TEXT.split())
]


def heard_at(at_ms, for_ms=0, duration_ms=None, text=TEXT, marks=MARKS):
    return playback_context(text, marks, at_ms=at_ms, for_ms=for_ms, duration_ms=duration_ms, language="en")


def test_what_sounded_shortly_before_and_a_little_ahead_may_echo():
    assert heard_at(5_500).text == "four five six seven"


def test_a_longer_utterance_may_echo_more():
    assert heard_at(5_500, for_ms=2_000).text == "two three four five six seven"


def test_nothing_older_than_ten_seconds_echoes():
    text = " ".join(f"w{number}" for number in range(100, 140))
    marks = [SpeechMark(5 * number, 5 * number + 4, 1000 * number) for number in range(40)]
    assert heard_at(30_000, for_ms=60_000, text=text, marks=marks).text == text[5 * 20 : 5 * 31 - 1]


def test_what_has_not_begun_cannot_echo_much():
    assert heard_at(0).text == "one"


def test_without_marks_the_place_is_estimated_generously():
    text = "x" * 1_000
    length = len(heard_at(10_000, text=text, marks=()).text)
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
def test_a_question_is_put_when_it_is_nearly_over(at_ms, duration_ms, text, asking):
    assert heard_at(at_ms, duration_ms=duration_ms, text=text).asking is asking


def test_nobody_speaks_by_default():
    assert PlaybackContext() == PlaybackContext("", "en", asking=False)
