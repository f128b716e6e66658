"""When each word of a turn was said, as the client is told."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.api.wire import codec
from orchestrator.conversation.messages.server import FinalTranscript, Word
from orchestrator.conversation.model.ports import FinalHeard
from orchestrator.conversation.session.announcing import announcement
from orchestrator.conversation.turns.speculation import Speculation
from orchestrator.conversation.turns.turn import Turn

ONE = FinalHeard(1, 1, "what is", 900, "en", words=(Word("what", 100, 300, 0.5), Word("is", 300, 600)))
TWO = FinalHeard(2, 1, "new", 2000, "en", words=(Word("new", 1500, 1900),))


def turn() -> Turn:
    return Turn(1, 1, 0, 0, Speculation(1, 3, 10_000, 400), 0)


def test_a_turn_has_the_words_of_all_its_segments() -> None:
    open_turn = turn()
    open_turn.hear(ONE)
    final = open_turn.hear(TWO)
    assert [word.text for word in final.words] == final.text.split() == ["what", "is", "new"]
    revised = open_turn.hear(replace(ONE, revision=2, text="what", words=ONE.words[:1]))
    assert [word.text for word in revised.words] == ["what", "new"]


def test_a_part_without_times_leaves_all_of_them_out() -> None:
    open_turn = turn()
    open_turn.hear(ONE)
    assert open_turn.hear(replace(TWO, words=())).words == ()


def test_a_part_without_text_takes_nothing_away() -> None:
    open_turn = turn()
    open_turn.hear(ONE)
    assert open_turn.hear(FinalHeard(2, 1, "", 2000)).words == ONE.words


def test_words_are_told_to_those_who_asked() -> None:
    final = turn().hear(ONE)
    told = announcement(final, word_times=True)
    assert told == FinalTranscript(1, 1, "what is", "en", None, ONE.words)
    assert codec.server_from_json(codec.server_to_json(told)) == told
    assert codec.server_from_proto(codec.server_to_proto(told)) == told
    assert announcement(final, word_times=False) == FinalTranscript(1, 1, "what is", "en")
