"""The arithmetic of the measurement of recognisers."""

from __future__ import annotations

import numpy as np
import pytest
from eval_stt import Clip, Score, partial_delays_ms, telephone
from spoken_words import spelled_number, spoken_words
from stt_service.engine import FinalTranscript, Segment, Word
from stt_service.retranscribing.recogniser import ClipTranscript


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Go forward 10 meters.", "go forward ten meters"),
        ("Mr. Quilter's <laugh> ill-disposed [noise] {uh-}", "mister quilter's ill disposed"),
        ("$20,000 in 1999!", "twenty thousand in one thousand nine hundred ninety nine"),
        ("It’s 'quoted'", "it's quoted"),
        ("I'm gonna.", "i'm going to"),
        ("", ""),
    ],
)
def test_words_are_compared_as_they_are_said(text: str, words: str) -> None:
    assert spoken_words(text, "en") == words.split()


def test_other_languages_keep_their_letters_and_digits() -> None:
    assert spoken_words("Türme, 95 Prozent?", "de") == ["türme", "95", "prozent"]


@pytest.mark.parametrize(
    ("number", "words"), [(0, "zero"), (20, "twenty"), (42, "forty two"), (101, "one hundred one")]
)
def test_numbers_are_spelled(number: int, words: str) -> None:
    assert " ".join(spelled_number(number)) == words


def final(text: str, language: str = "en") -> FinalTranscript:
    return FinalTranscript(Segment(1), text, language=language)


def test_a_score_counts_words_languages_and_inventions() -> None:
    sound = np.zeros(16_000)
    score = Score()
    score.add(Clip("en-one", "en", ["ten", "clubs"], sound), final("10 cubs."), 0.1)
    dropped = ClipTranscript("", "en", language_probability=0.9)
    score.add(Clip("en-mfa-two", "en", ["hello"], sound), final("", ""), 0.1, dropped)
    score.add(Clip("de-three", "de", [], sound), final("Hallo", "nl"), 0.1)
    score.add(Clip("zxx-four", "zxx", None, sound), final("you"), 0.1)
    score.add(Clip("zxx-five", "zxx", None, sound), final(""), 0.1)
    assert (score.rate("en"), score.rate("en-mfa"), score.rate("fr")) == ("50.0", "100.0", "–")
    assert (score.languages, score.unheard, score.invented) == ([True, True, False], 1, ["zxx-four: you"])
    assert score.probabilities == [0.9]
    assert score.audio_s == 5


def test_a_telephone_passes_low_sound_only() -> None:
    at = np.arange(16_000) / 16_000
    low, high = np.sin(2 * np.pi * 1000 * at), np.sin(2 * np.pi * 5000 * at)
    np.testing.assert_allclose(telephone(low + high), low, atol=1e-6)


def test_delay_of_a_word_counts_from_its_end_to_its_first_partial() -> None:
    words = (
        Word("The", 0, 200),
        Word("dog", 200, 500),
        Word("and", 500, 700),
        Word("the", 700, 800),
        Word("cat.", 800, 1200),
    )
    final = FinalTranscript(Segment(1), "The dog and the cat.", words=words)
    heard = [(450.0, "The dock"), (900.0, "The dog, and"), (1250.0, "The dog and the")]
    assert partial_delays_ms(heard, final, "en") == [250, 400, 200, 450, None]


def test_word_that_a_partial_has_before_its_end_has_no_delay() -> None:
    final = FinalTranscript(Segment(1), "Dog", words=(Word("Dog", 0, 500),))
    assert partial_delays_ms([(450.0, "dog")], final, "en") == [0]
