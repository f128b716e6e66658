"""The open turn: word times over several segments."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.conversation.messages.server import Word
from orchestrator.conversation.model.ports import FinalTranscript
from orchestrator.conversation.turns.speculation import Speculation
from orchestrator.conversation.turns.turn import Turn

ONE = FinalTranscript(1, 1, "what is", 900, "en", words=(Word("what", 100, 300, 0.5), Word("is", 300, 600)))
TWO = FinalTranscript(2, 1, "new", 2000, "en", words=(Word("new", 1500, 1900),))


def turn() -> Turn:
    return Turn(1, 1, 0, 0, Speculation(1, 3, 10_000, 400), 0)


def test_turn_has_the_words_of_all_segments() -> None:
    open_turn = turn()
    open_turn.add_final(ONE)
    final = open_turn.add_final(TWO)
    assert [word.text for word in final.words] == final.text.split() == ["what", "is", "new"]
    revised = open_turn.add_final(replace(ONE, revision=2, text="what", words=ONE.words[:1]))
    assert [word.text for word in revised.words] == ["what", "new"]


def test_segment_without_word_times_omits_all_word_times() -> None:
    open_turn = turn()
    open_turn.add_final(ONE)
    assert open_turn.add_final(replace(TWO, words=())).words == ()


def test_segment_without_text_keeps_the_word_times() -> None:
    open_turn = turn()
    open_turn.add_final(ONE)
    assert open_turn.add_final(FinalTranscript(2, 1, "", 2000)).words == ONE.words


def test_speech_from_the_first_sample_of_the_session_is_voiced() -> None:
    open_turn = turn()
    open_turn.on_speech_started(0)
    assert open_turn.voiced_until(300) == 300
    open_turn.on_speech_stopped(800)
    assert open_turn.voiced_ms == open_turn.voiced_until(1_000) == 800
