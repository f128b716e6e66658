"""The pure rules of pacing: how much text the voice gets, and where the ear is."""

from __future__ import annotations

import pytest
from orchestrator.conversation.output.playhead import Playhead
from orchestrator.conversation.output.text_pacing import AIM_MS, LOW_MS, Pacer

SHORT = "One is here. Two is here. Three is here. Four is here. "


def test_the_first_sentence_is_handed_on_as_it_comes() -> None:
    pacer = Pacer()
    assert pacer.take("One", 0, 0) == "One"
    assert pacer.take("One is", 0, 0) == " is"
    assert pacer.take("One is", 0, 0) == ""


def test_sentences_are_handed_on_until_enough_is_in_hand() -> None:
    pacer = Pacer()
    text = SHORT * 10
    taken = pacer.take(text, 0, 0)
    # 60 ms a character: 50 characters are 3 s.
    assert taken == "One is here. Two is here. Three is here. Four is here. One "
    assert pacer.take(text, 0, 0) == ""
    assert pacer.take(text, AIM_MS, 0) == ""


def test_what_was_spoken_and_heard_makes_room_for_the_next_sentence() -> None:
    pacer = Pacer()
    text = SHORT * 10
    handed = len(pacer.take(text, 0, 0))
    pacer.spoken(handed)
    assert not pacer.wants(text, AIM_MS, 0)
    assert pacer.take(text, AIM_MS - 1, 0) == "is here. Two "


def test_a_voice_that_has_gone_quiet_gets_more_once_it_has_answered() -> None:
    pacer = Pacer()
    text = SHORT * 10
    pacer.take(text, 0, 0)
    assert not pacer.wants(text, LOW_MS - 1, 1)
    pacer.answered()
    assert not pacer.wants(text, LOW_MS - 1, 0.2)
    assert not pacer.wants(text, LOW_MS, 1)
    assert pacer.take(text, LOW_MS - 1, 1) == "is here. Two "
    # Once only, until it answers again.
    assert not pacer.wants(text, LOW_MS - 1, 1)


def test_text_without_an_end_of_sentence_is_handed_on_in_parts() -> None:
    pacer = Pacer()
    text = "word " * 200
    taken = pacer.take(text, 0, 0)
    assert 160 <= len(taken) <= 165
    assert taken.endswith(" ")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("It costs 3.50 euros, he said to me quite some time ago, or so. Then he left us. ", "or so. Then "),
        ('He said "and that is all that there was to be seen of it!" Then he left us. ', 'of it!" Then '),
        ("First a line that is long enough to be worth three seconds\nThen another line ", "seconds\nThen "),
        ("यह एक लंबा वाक्य है जो तीन सेकंड तक चलता रहता है और रुकता नहीं। फिर वह गया था ", "नहीं। फिर "),
    ],
)
def test_sentences_end_at_their_marks_and_new_lines(text: str, first: str) -> None:
    assert Pacer().take(text, 0, 0).endswith(first)


def test_a_reply_is_picked_up_at_a_character() -> None:
    assert Pacer(start=13).take(SHORT[:25], 0, 0) == "Two is here."


def test_all_text_is_handed_on_once() -> None:
    pacer = Pacer()
    text, taken = "", ""
    for delta in [SHORT[start : start + 7] for start in range(0, len(SHORT), 7)]:
        text += delta
        taken += pacer.take(text, AIM_MS, 0)
        taken += pacer.take(text, 0, 0)
        pacer.spoken(pacer.handed)
    assert taken + pacer.take(text, 0, 0) == SHORT


def test_a_late_frame_is_an_underrun_of_the_silence_before_it() -> None:
    playhead = Playhead(holds=True)
    playhead.send(100, 10.0)
    playhead.send(100, 10.1)
    assert (playhead.underruns, playhead.played_ms) == (0, pytest.approx(100))
    playhead.send(100, 10.5)
    assert playhead.underruns == 1
    assert playhead.underrun_ms == pytest.approx(300)
    assert playhead.played_ms == pytest.approx(200)


def test_a_gap_that_nobody_hears_does_not_count() -> None:
    playhead = Playhead(holds=True)
    playhead.send(100, 10.0)
    playhead.send(100, 10.115)
    assert playhead.underruns == 0


@pytest.mark.parametrize(("holds", "played_ms"), [(True, 100), (False, 200)])
def test_a_pause_is_no_underrun(holds: bool, played_ms: float) -> None:
    playhead = Playhead(holds)
    playhead.send(200, 10.0)
    playhead.pause(10.1)
    playhead.advance(15.0)
    assert playhead.played_ms == pytest.approx(played_ms)
    playhead.resume(15.0)
    playhead.send(100, 15.0)
    assert playhead.underruns == 0
