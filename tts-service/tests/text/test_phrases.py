from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tts_service.text.phrases import Phrase, PhraseCutter

MAX_CHARS = 160


def cut(*deltas: str, language: str = "en", max_chars: int = MAX_CHARS) -> list[list[str]]:
    """Texts of the phrases after each delta, and after the end."""
    cutter = PhraseCutter(language, max_chars)
    cuts = [[phrase.text for phrase in cutter.push_text(delta)] for delta in deltas]
    return [*cuts, [phrase.text for phrase in cutter.end_text()]]


@pytest.mark.parametrize(
    ("language", "deltas", "first"),
    [
        ("en", ["Good", " evening", ",", " here"], (2, "Good evening,")),
        ("en", ["Yes", "."], (1, "Yes.")),
        ("en", ["Well", ",", " I", " think", " so", "."], (5, "Well, I think so.")),
        ("en", ["To", " be", " or", ",", " not"], (3, "To be or,")),
        ("en", ["Dr", ".", " Smith", " left", "."], (4, "Dr. Smith left.")),
        ("en", ["J", ".", " R", ".", " Smith", " left", "!"], (6, "J. R. Smith left!")),
        ("en", ["In", " the", " U", ".S", ".", " it", " rained", "."], (7, "In the U.S. it rained.")),
        ("en", ["It", " costs", " 3", ".", "50", " now", "."], (6, "It costs 3.50 now.")),
        ("en", ["It", " costs", " 3", ".", " Now", " go"], (4, "It costs 3.")),
        ("en", ["About", " 1", ",", "000", " people", " came", ","], (6, "About 1,000 people came,")),
        ("en", ["We", " met", " at", " 10", ":", "30", ";"], (6, "We met at 10:30;")),
        ("en", ["See", " www", ".", "example", ".com", " today", "!"], (6, "See www.example.com today!")),
        ("en", ["Look at", " https", ":", "//a.org/b", " please", "."], (5, "Look at https://a.org/b please.")),
        ("en", ["1", ".", " First", " things", " first", ":"], (5, "1. First things first:")),
        ("en", ["I was...", " sure", " of it", "."], (1, None)),
        ("en", ['He said "Go."', " Then"], (0, 'He said "Go."')),
        ("de", ["Am", " 3", ".", " Mai", " kam", " er", "."], (6, "Am 3. Mai kam er.")),
        ("de", ["Das ist z", ".B", ".", " gut", ","], (4, "Das ist z.B. gut,")),
        ("hi", ["नमस्ते", " दोस्त", "।", " आज"], (2, "नमस्ते दोस्त।")),
        ("es", ["¿Qué", " tal", "?"], (2, "¿Qué tal?")),
        ("en", ["Headlines", "\n", "Rain"], (1, "Headlines\n")),
    ],
)
def test_first_phrase_is_cut_at_the_token_that_ends_it(
    language: str, deltas: list[str], first: tuple[int, str | None]
) -> None:
    cuts = cut(*deltas, language=language)
    expected_at, expected = first
    found = next(((at, texts[0]) for at, texts in enumerate(cuts[:-1]) if texts), (None, None))
    assert found == (expected_at, expected) if expected is not None else found[0] != expected_at


def test_whole_sentences_follow_the_first_phrase() -> None:
    cuts = cut("Good evening, ", "this is Dr. Smith, who paid $3.50", ". Now", " the weather. And")
    assert [text for texts in cuts for text in texts] == [
        "Good evening,",
        " this is Dr. Smith, who paid $3.50. ",
        "Now the weather. ",
        "And",
    ]
    assert cuts[2] == [" this is Dr. Smith, who paid $3.50. "]


def test_new_line_ends_a_sentence_immediately() -> None:
    assert cut("Hello there. ", "One\n")[1] == [" One\n"]


def test_unspeakable_text_is_not_the_first_phrase() -> None:
    texts = [text for texts in cut("\n", "**", "Hello there, ", "you", ".") for text in texts]
    assert texts == ["\n**Hello there,", " you."]


def test_long_sentence_is_split_after_a_clause_else_between_words() -> None:
    texts = [text for texts in cut("aaa bbb, " * 5 + "ccc " * 20, max_chars=60) for text in texts]
    assert max(map(len, texts)) <= 60
    assert texts[1].endswith(", ")
    assert texts[2].endswith("ccc ")


def test_split_word_keeps_letters_and_accents_together() -> None:
    texts = [text for texts in cut("e\u0301" * 101, max_chars=41) for text in texts]
    assert not any(text.startswith("\u0301") for text in texts)
    assert "".join(texts) == "e\u0301" * 101


@pytest.mark.parametrize("text", ["x" * 100_000, "word " * 20_000, "Hi. " * 25_000, "\n" * 100_000, "," * 100_000])
def test_hundred_thousand_characters_are_cut_in_reasonable_time(text: str) -> None:
    started_s = time.process_time()
    texts = [piece for texts in cut(text) for piece in texts]
    assert time.process_time() - started_s < 10
    assert "".join(texts) == text
    assert max(map(len, texts)) <= MAX_CHARS


def test_early_cut_is_at_a_clause_or_at_a_word_on_a_stall() -> None:
    cutter = PhraseCutter("en", MAX_CHARS)
    cutter.push_text("Good evening, we have a story, which is lon")
    assert [phrase.text for phrase in cutter.cut_early(stalled=False)] == [" we have a story,"]
    assert cutter.cut_early(stalled=False) == []
    cutter.push_text("g and it costs 3.")
    assert cutter.cut_early(stalled=False) == []
    assert [phrase.text for phrase in cutter.cut_early(stalled=True)] == [" which is long and it costs 3."]
    cutter.push_text(" But nobody here kno")
    assert [phrase.text for phrase in cutter.cut_early(stalled=True)] == [" But nobody here "]


def test_one_word_is_not_cut_early() -> None:
    cutter = PhraseCutter("en", MAX_CHARS)
    cutter.push_text("The ")
    assert cutter.cut_early(stalled=True) == []
    assert cutter.has_speakable_text


TEXTS = st.text(st.one_of(st.sampled_from("ab 3.,!?:;\n\"'*…—।Dr"), st.characters()), max_size=400)


@settings(max_examples=150, deadline=None)
@given(
    TEXTS,
    st.lists(st.integers(1, 40), min_size=1),
    st.sampled_from(["en", "es", "fr", "pt", "hi", "de", "nl", "it", "xx"]),
    st.integers(40, 200),
    st.lists(st.booleans(), max_size=50),
)
def test_phrases_cover_the_text_without_gaps(
    text: str, sizes: list[int], language: str, max_chars: int, releases: list[bool]
) -> None:
    cutter = PhraseCutter(language, max_chars)
    phrases: list[Phrase] = []
    start, turn = 0, 0
    while start < len(text):
        size = sizes[turn % len(sizes)]
        phrases += cutter.push_text(text[start : start + size])
        if turn < len(releases):
            phrases += cutter.cut_early(releases[turn])
        start, turn = start + size, turn + 1
    phrases += cutter.end_text()
    place = 0
    for phrase in phrases:
        assert (phrase.start, phrase.text) == (place, text[phrase.start : phrase.end])
        assert 0 < len(phrase.text) <= max_chars
        place = phrase.end
    assert place == len(text)
