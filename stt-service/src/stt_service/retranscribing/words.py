"""Word lists per language, from words.toml, and language detection with them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

DEVANAGARI = re.compile(r"[\u0900-\u097f]")
# A language is detected with at least this many common words, and this factor more than the next language.
MIN_HITS = 2
MARGIN = 1.2


@dataclass(frozen=True, slots=True)
class LanguageWords:
    """The word lists of one language; words.toml describes their use."""

    common: frozenset[str]
    credits: frozenset[str]
    doubtful: frozenset[str]


@cache
def language_words() -> Mapping[str, LanguageWords]:
    """Return the word lists by language, ISO 639-1."""
    document = tomllib.loads((files(__package__ or "") / "words.toml").read_text("utf-8"))
    return {
        language: LanguageWords(*(frozenset(lists[kind]) for kind in ("common", "credits", "doubtful")))
        for language, lists in document.items()
    }


def normalise(text: str) -> str:
    """Return `text` in lower case and without punctuation, for comparison."""
    kept = "".join(letter for letter in text.lower() if letter in " -\u094d" or letter.isalnum() or _is_mark(letter))
    return " ".join(kept.split())


def detect_language(text: str) -> str:
    """Return the language of a transcript by its common words, ISO 639-1; empty when they are not decisive."""
    letters = [letter for letter in text if letter.isalpha()]
    if letters and len(DEVANAGARI.findall(text)) > len(letters) / 2:
        return "hi"
    words = re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", text.lower().replace("’", "'"))
    hits = sorted(
        ((sum(word in lists.common for word in words), language) for language, lists in language_words().items()),
        reverse=True,
    )
    (best, language), (next_best, _) = hits[0], hits[1]
    return language if best >= MIN_HITS and best >= MARGIN * next_best else ""


def _is_mark(letter: str) -> bool:
    # `isalnum` is false for the vowel signs of Devanagari.
    return bool(DEVANAGARI.match(letter)) and letter not in "\u0964\u0965"
