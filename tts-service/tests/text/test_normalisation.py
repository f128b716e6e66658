from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tts_service.text.normalisation import WordMarks, normalise_text


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("plain text, 3.5 °C & 10 €", "plain text, 3.5 °C & 10 €"),
        # Markup is the orchestrator's: captions and history must hold what is spoken.
        ("2 * 3 is snake_case, **so** it is", "2 * 3 is snake_case, **so** it is"),
        ("one\u200b\ufeff two", "one   two"),
        ("क्‍ष", "क्‍ष"),
        ("a\x00b\x07c", "a b c"),
        ("", ""),
    ],
)
def test_characters_that_no_engine_speaks_are_removed(written: str, spoken: str) -> None:
    assert normalise_text(written).text == spoken


@given(st.text(st.one_of(st.sampled_from("ab *_`#[]()😀\n"), st.characters()), max_size=80))
def test_every_spoken_character_equals_its_origin(written: str) -> None:
    spoken = normalise_text(written)
    assert len(spoken.text) == len(spoken.origins)
    assert list(spoken.origins) == sorted(spoken.origins)
    assert all(
        character in (" ", written[origin]) for character, origin in zip(spoken.text, spoken.origins, strict=True)
    )


def test_each_word_is_marked_once_and_skipped_words_with_the_next() -> None:
    written = "In the \x07 U.S. today"
    marks = WordMarks(normalise_text(written))
    marked = [
        marks.pop_until(0, 2),
        marks.pop_until(0, 2),
        marks.pop_until(9, 1),
        marks.pop_remaining(),
        marks.pop_remaining(),
    ]
    assert [[written[start:end] for start, end in places] for places in marked] == [
        ["In"],
        [],
        ["the", "U.S."],
        ["today"],
        [],
    ]


def test_text_without_letters_is_not_speakable() -> None:
    assert not normalise_text(" ** \x07 ... ").is_speakable
    assert normalise_text("- 1").is_speakable


def test_speaker_tag_becomes_a_speaker_turn() -> None:
    written = "[SPEAKER0] Hi there. [SPEAKER1] And you?"
    spoken = normalise_text(written)
    assert spoken.text == "Hi there. And you?"
    assert spoken.speaker_turns == ((0, 0), (10, 1))
    assert [written[start:end] for start, end in WordMarks(spoken).pop_remaining()] == ["Hi", "there.", "And", "you?"]
    assert normalise_text("there is no tag").speaker_turns == ()
    assert normalise_text("Well. [SPEAKER2]").speaker_turns == ((6, 2),)
    assert not normalise_text("[SPEAKER2] ").is_speakable
