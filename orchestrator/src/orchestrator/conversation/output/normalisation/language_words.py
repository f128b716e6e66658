"""The words of signs, sums and money in each language, from `words.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any
from unicodedata import normalize


@dataclass(frozen=True, slots=True)
class LanguageWords:
    """The words of one language; `words.toml` explains each."""

    times: str
    divided_by: str
    plus: str
    minus: str
    equals: str
    squared: str
    cubed: str
    power: str
    root: str
    less: str
    greater: str
    at_most: str
    at_least: str
    not_equal: str
    nearly: str
    about: str
    plus_minus: str
    to: str
    per: str
    of: str
    cents_joined: str
    cents_named: str
    magnitudes: Mapping[str, str]
    magnitude_words: tuple[str, ...]
    # By currency: the unit for one, for others, and "one dollar" in words.
    money: Mapping[str, tuple[str, str, str]]
    # By currency: the hundredth for one and for others. Without an entry, the currency has none.
    cents: Mapping[str, tuple[str, str]]
    # Abbreviated magnitudes that are spoken in full.
    spelt_out: Mapping[str, str] = field(default_factory=dict[str, str])


@cache
def _all_words() -> Mapping[str, LanguageWords]:
    text = files("orchestrator.conversation.output.normalisation").joinpath("words.toml").read_text("utf-8")
    return {language: _parse(words) for language, words in tomllib.loads(text).items()}


def _parse(words: Mapping[str, Any]) -> LanguageWords:
    parsed: dict[str, Any] = {
        **words,
        "magnitude_words": tuple(normalize("NFC", word) for word in words["magnitude_words"]),
        "money": {name: tuple(forms) for name, forms in words["money"].items()},
        "cents": {name: tuple(forms) for name, forms in words["cents"].items()},
    }
    return LanguageWords(**parsed)


def words_of(language: str) -> LanguageWords | None:
    """The words of `language`, ISO 639-1; None for a language that the anchor does not speak."""
    return _all_words().get(language)
