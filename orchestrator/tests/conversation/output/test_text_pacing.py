"""The pure rules of pacing: how much text the voice gets, and where the ear is."""

from __future__ import annotations

import pytest
from orchestrator.conversation.output.playhead import Playhead
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
    taken = pacer.next_chunk(text, 0, 0)
    # 60 ms a character: 50 characters are 3 s.
    assert taken == "One is here. Two is here. Three is here. Four is here. One "
    assert pacer.next_chunk(text, 0, 0) == ""
    assert pacer.next_chunk(text, TARGET_AHEAD_MS, 0) == ""


def test_playback_makes_room_for_the_next_sentence() -> None:
    pacer = TextPacer()
    text = SHORT * 10
    handed = len(pacer.next_chunk(text, 0, 0))
    pacer.on_synthesised(handed)
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
    # Once only, until it answers again.
    assert not pacer.has_due_text(text, MIN_AHEAD_MS - 1, 1)


def test_text_without_sentence_end_is_flushed_in_parts() -> None:
    pacer = TextPacer()
    text = "word " * 200
    taken = pacer.next_chunk(text, 0, 0)
    assert 160 <= len(taken) <= 165
    assert taken.endswith(" ")


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
    text, taken = "", ""
    for delta in [SHORT[start : start + 7] for start in range(0, len(SHORT), 7)]:
        text += delta
        taken += pacer.next_chunk(text, TARGET_AHEAD_MS, 0)
        taken += pacer.next_chunk(text, 0, 0)
        pacer.on_synthesised(pacer.sent_chars)
    assert taken + pacer.next_chunk(text, 0, 0) == SHORT


def test_late_frame_counts_as_an_underrun() -> None:
    playhead = Playhead(can_pause=True)
    playhead.add_sent(100, 10.0)
    playhead.add_sent(100, 10.1)
    assert (playhead.underruns, playhead.played_ms) == (0, pytest.approx(100))
    playhead.add_sent(100, 10.5)
    assert playhead.underruns == 1
    assert playhead.underrun_ms == pytest.approx(300)
    assert playhead.played_ms == pytest.approx(200)


def test_inaudible_gap_is_no_underrun() -> None:
    playhead = Playhead(can_pause=True)
    playhead.add_sent(100, 10.0)
    playhead.add_sent(100, 10.115)
    assert playhead.underruns == 0


@pytest.mark.parametrize(("holds", "played_ms"), [(True, 100), (False, 200)])
def test_pause_is_no_underrun(holds: bool, played_ms: float) -> None:
    playhead = Playhead(holds)
    playhead.add_sent(200, 10.0)
    playhead.pause(10.1)
    playhead.advance(15.0)
    assert playhead.played_ms == pytest.approx(played_ms)
    playhead.resume(15.0)
    playhead.add_sent(100, 15.0)
    assert playhead.underruns == 0
