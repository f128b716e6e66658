"""Round trip: the voice speaks words that recognition understands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from anchor_cli.verification.checks import limits
from anchor_cli.verification.outcome import Check, at_most, require

_LISTEN = "Listen to run/verify/{file}: if it is clear, report it with its transcript; if not, run `--only voice`."


@dataclass(frozen=True, slots=True)
class SpokenSentence:
    """A sentence, how it was recognised, and its sound."""

    text: str
    transcript: str
    word_error_rate: float
    file: str


def check_round_trip(sentences: Sequence[SpokenSentence]) -> tuple[Check, ...]:
    """Decide whether the sentences came back."""
    if not sentences:
        return (require("sentences", False, "none was spoken", "Run `--only voice` first."),)
    worst = max(sentences, key=lambda sentence: sentence.word_error_rate)
    cure = _LISTEN.format(file=worst.file)
    middle = median(sentence.word_error_rate for sentence in sentences)
    return (
        at_most("median word errors", middle, limits.MOST_MEDIAN_ERRORS, "", cure),
        at_most(f"word errors of {worst.file}", worst.word_error_rate, limits.MOST_SENTENCE_ERRORS, "", cure),
    )
