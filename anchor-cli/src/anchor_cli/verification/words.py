"""Word errors of a transcript. Pure."""

from __future__ import annotations

import re
import unicodedata

_CONTRACTIONS = {"'s": " is", "'re": " are", "'m": " am", "'ll": " will", "'ve": " have", "n't": " not"}


def word_error_rate(reference: str, transcript: str) -> float:
    """Inserted, deleted and replaced words, divided by the words of `reference`. Raises ValueError without words."""
    spoken, recognised = plain_words(reference), plain_words(transcript)
    if not spoken:
        raise ValueError("the reference has no words")
    return _edits(spoken, recognised) / len(spoken)


def plain_words(text: str) -> list[str]:
    """Words without case and punctuation; English contractions are written out, and hyphens separate words."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    for short, full in _CONTRACTIONS.items():
        plain = plain.replace(short, full)
    return re.findall(r"[^\W_]+", plain)


def _edits(reference: list[str], recognised: list[str]) -> int:
    """The Levenshtein distance of two lists of words."""
    row = list(range(len(recognised) + 1))
    for line, expected in enumerate(reference, 1):
        above, row = row, [line]
        for column, word in enumerate(recognised, 1):
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + (expected != word)))
    return row[-1]
