"""Word errors of transcripts."""

from __future__ import annotations

import pytest
from anchor_cli.verification.words import plain_words, word_error_rate


@pytest.mark.parametrize(
    ("reference", "transcript", "rate"),
    [
        ("How is the weather?", "how's the weather", 0.0),
        ("The red boat", "the bed boat", 1 / 3),
        ("The red boat", "", 1.0),
        ("The boat", "the boat the boat", 1.0),
        ("Die Sonne geht unter.", "die sonne geht, unter", 0.0),
    ],
)
def test_word_error_rate(reference: str, transcript: str, rate: float) -> None:
    assert word_error_rate(reference, transcript) == pytest.approx(rate)


def test_a_reference_without_words_is_refused() -> None:
    with pytest.raises(ValueError, match="no words"):
        word_error_rate("?!", "words")


def test_contractions_are_written_out_and_hyphens_separate() -> None:
    assert plain_words("It\u2019s a well-known one; don't") == ["it", "is", "a", "well", "known", "one", "do", "not"]
