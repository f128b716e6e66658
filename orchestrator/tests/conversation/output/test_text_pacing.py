"""Text pacing: how much text is flushed to the TTS, and when."""

from __future__ import annotations

import pytest
from orchestrator.conversation.output.text_pacing import MIN_AHEAD_MS, TARGET_AHEAD_MS, TextPacer

SHORT = "One is here. Two is here. Three is here. Four is here. "


def test_first_sentence_is_flushed_as_it_arrives() -> None:
    pacer = TextPacer()
    assert pacer.next_chunk("One", 0, 0) == "One"
    assert pacer.next_chunk("One is", 0, 0) == " is"
    assert pacer.next_chunk("One is", 0, 0) == ""


def test_sentences_are_flushed_until_enough_speech_is_ahead() -> None:
    pacer = TextPacer()
    text = SHORT * 10
    sent = pacer.next_chunk(text, 0, 0)
    # At 60 ms per character, 50 characters are 3 s.
    assert sent == "One is here. Two is here. Three is here. Four is here. One "
    assert pacer.next_chunk(text, 0, 0) == ""
    assert pacer.next_chunk(text, TARGET_AHEAD_MS, 0) == ""


def test_playback_makes_room_for_the_next_sentence() -> None:
    pacer = TextPacer()
    text = SHORT * 10
    sent_chars = len(pacer.next_chunk(text, 0, 0))
    pacer.on_synthesised(sent_chars)
    assert not pacer.has_due_text(text, TARGET_AHEAD_MS, 0)
    assert pacer.next_chunk(text, TARGET_AHEAD_MS - 1, 0) == "is here. Two "


def test_idle_tts_gets_more_text_once_after_its_audio() -> None:
    pacer = TextPacer()
    text = SHORT * 10
    pacer.next_chunk(text, 0, 0)
    assert not pacer.has_due_text(text, MIN_AHEAD_MS - 1, 1)
    pacer.on_tts_event()
    assert not pacer.has_due_text(text, MIN_AHEAD_MS - 1, 0.2)
    assert not pacer.has_due_text(text, MIN_AHEAD_MS, 1)
    assert pacer.next_chunk(text, MIN_AHEAD_MS - 1, 1) == "is here. Two "
    # Once only, until the next audio.
    assert not pacer.has_due_text(text, MIN_AHEAD_MS - 1, 1)


def test_text_without_sentence_end_is_flushed_in_parts() -> None:
    pacer = TextPacer()
    text = "word " * 200
    sent = pacer.next_chunk(text, 0, 0)
    assert 160 <= len(sent) <= 165
    assert sent.endswith(" ")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("It costs 3.50 euros, he said to me quite some time ago, or so. Then he left us. ", "or so. Then "),
        ('He said "and that is all that there was to be seen of it!" Then he left us. ', 'of it!" Then '),
        (
            "First a connection that is long enough to be worth three seconds\nThen another connection ",
            "seconds\nThen ",
        ),
        ("यह एक लंबा वाक्य है जो तीन सेकंड तक चलता रहता है और रुकता नहीं। फिर वह गया था ", "नहीं। फिर "),
    ],
)
def test_sentences_end_at_punctuation_and_new_lines(text: str, first: str) -> None:
    assert TextPacer().next_chunk(text, 0, 0).endswith(first)


def test_pacer_starts_at_a_given_character() -> None:
    assert TextPacer(start=13).next_chunk(SHORT[:25], 0, 0) == "Two is here."


def test_all_text_is_flushed_exactly_once() -> None:
    pacer = TextPacer()
    text, sent = "", ""
    for delta in [SHORT[start : start + 7] for start in range(0, len(SHORT), 7)]:
        text += delta
        sent += pacer.next_chunk(text, TARGET_AHEAD_MS, 0)
        sent += pacer.next_chunk(text, 0, 0)
        pacer.on_synthesised(pacer.sent_chars)
    assert sent + pacer.next_chunk(text, 0, 0) == SHORT
