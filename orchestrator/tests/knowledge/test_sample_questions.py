"""The questions that a client offers at the beginning."""

import pytest
from orchestrator.knowledge.passages import Passage, PassageKind
from orchestrator.knowledge.sample_questions import MAX_QUESTION_CHARS, sample_questions


def passage(name: str, *questions: str, kind: PassageKind = PassageKind.NOTE, language: str = "en") -> Passage:
    return Passage(name, name, ("A text.",), questions=questions, kind=kind, language=language)


def test_questions_come_from_each_kind_in_turn():
    folder = (
        passage("about", "Who are you?", kind=PassageKind.ABOUT),
        passage("bread", "Who bakes?", "Where is it?", kind=PassageKind.NEWS),
        passage("ferry", "When does it leave?", kind=PassageKind.NEWS),
        passage("sleep", "How do I sleep?", kind=PassageKind.GUIDE),
    )
    assert sample_questions(folder) == {"en": ("Who bakes?", "How do I sleep?", "Who are you?")}


def test_one_kind_gives_a_question_of_each_passage_first():
    folder = (passage("bread", "Who bakes?", "Where is it?"), passage("ferry", "When does it leave?"))
    assert sample_questions(folder) == {"en": ("Who bakes?", "When does it leave?", "Where is it?")}


def test_each_language_has_its_own_and_none_without_questions():
    german = passage("wetter", "Regnet es?", language="de")
    folder = (passage("bread", "Who bakes?"), german, passage("x", language="fr"))
    assert sample_questions(folder) == {"en": ("Who bakes?",), "de": ("Regnet es?",)}
    assert sample_questions(()) == {}


@pytest.mark.parametrize("hostile", ["", "x" * (MAX_QUESTION_CHARS + 1), "a\x1b[2Jb", "ab\u202ecd", "one\u2028two"])
def test_unfit_questions_are_left_out(hostile: str):
    assert sample_questions((passage("a", hostile, "Who bakes?", "Who bakes?"),)) == {"en": ("Who bakes?",)}
