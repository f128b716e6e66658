"""Numbers in digits become words, as in the passages."""

import pytest
from orchestrator.knowledge.index import PassageIndex
from orchestrator.knowledge.numbers import spell_numbers
from orchestrator.knowledge.passages import Passage


@pytest.mark.parametrize(
    ("written", "spelt"),
    [
        ("line 2", "line two"),
        ("0 of 13", "zero of thirteen"),
        ("it costs 35 crowns", "it costs thirty five crowns"),
        ("in 1998 and 2000", "in one thousand nine hundred ninety eight and two thousand"),
        ("at 6:30", "at six:thirty"),
        ("the 1st, 2nd, 20th and 33rd", "the first, second, twentieth and thirty third"),
        ("12th", "twelfth"),
        ("MP3 and 12345", "MP3 and 12345"),
    ],
)
def test_english_numbers_are_spelt(written: str, spelt: str):
    assert spell_numbers(written, "en") == spelt


@pytest.mark.parametrize(
    ("language", "seven"),
    [
        ("de", "sieben"),
        ("es", "siete"),
        ("fr", "sept"),
        ("hi", "सात"),
        ("it", "sette"),
        ("nl", "zeven"),
        ("pt", "sete"),
    ],
)
def test_small_numbers_are_spelt_in_every_language(language: str, seven: str):
    assert spell_numbers("7 und 4000", language) == f"{seven} und 4000"


def test_unknown_language_keeps_digits():
    assert spell_numbers("7", "xx") == "7"


def test_digits_and_words_find_each_other():
    words = Passage("words", "gate fifteen", ("It is open.",))
    digits = Passage("digits", "platform 16", ("It is open.",))
    index = PassageIndex((words, digits))
    assert [match.passage.id for match in index.search(["where is gate 15"], "en")] == ["words"]
    assert [match.passage.id for match in index.search(["platform sixteen"], "en")] == ["digits"]
