"""What is known of each language's words: data in words.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

DEVANAGARI = re.compile(r"[\u0900-\u097f]")
# So many words must tell for a language, and so much more than for the next.
MIN_HITS = 2
MARGIN = 1.2


@dataclass(frozen=True, slots=True)
class Words:
    """The lists of one language."""

    common: frozenset[str]
    credits: frozenset[str]
    doubtful: frozenset[str]


@cache
def known_words() -> Mapping[str, Words]:
    """The lists by language, ISO 639-1."""
    document = tomllib.loads((files(__package__ or "") / "words.toml").read_text("utf-8"))
    return {
        language: Words(*(frozenset(lists[kind]) for kind in ("common", "credits", "doubtful")))
        for language, lists in document.items()
    }


def plain(text: str) -> str:
    """`text` in small letters, without punctuation, so that it compares."""
    kept = "".join(letter for letter in text.lower() if letter in " -\u094d" or letter.isalnum() or _is_mark(letter))
    return " ".join(kept.split())


def language_of(text: str) -> str:
    """The language of a transcript, by its commonest words; empty where they do not tell."""
    letters = [letter for letter in text if letter.isalpha()]
    if letters and len(DEVANAGARI.findall(text)) > len(letters) / 2:
        return "hi"
    words = re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", text.lower().replace("’", "'"))
    hits = sorted(
        ((sum(word in lists.common for word in words), language) for language, lists in known_words().items()),
        reverse=True,
    )
    (best, language), (next_best, _) = hits[0], hits[1]
    return language if best >= MIN_HITS and best >= MARGIN * next_best else ""


def _is_mark(letter: str) -> bool:
    # Vowel signs of Devanagari are no letters to `isalnum`.
    return bool(DEVANAGARI.match(letter)) and letter not in "\u0964\u0965"
