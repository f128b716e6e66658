"""The words of a transcript, for counting errors: in lower case, without punctuation, and English numbers spelled."""

from __future__ import annotations

import re
import unicodedata

_EVENTS = re.compile(r"<[^>]*>|\[[^\]]*\]|\{[^}]*\}")
_ORDINARY = tuple(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "  # noqa: SIM905
    "seventeen eighteen nineteen".split()
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
# Spellings of the same words: titles, which recognisers abbreviate, and contractions, as in Whisper's own normaliser.
_SPELLINGS = {
    "mr": ["mister"],
    "mrs": ["missus"],
    "dr": ["doctor"],
    "gonna": ["going", "to"],
    "gotta": ["got", "to"],
    "wanna": ["want", "to"],
}


def spoken_words(text: str, language: str) -> list[str]:
    """Return the words of `text`, without sound events in brackets and broken-off words."""
    plain = _EVENTS.sub(" ", unicodedata.normalize("NFKC", text).lower().replace("’", "'"))
    # Digits with a separator for thousands are one number.
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", plain)
    words = [word.strip("'") for word in re.findall(r"[^\W_]+(?:'[^\W_]+)*'?", plain)]
    if language != "en":
        return [word for word in words if word]
    return [said for word in words if word for said in _said_in_english(word)]


def _said_in_english(word: str) -> list[str]:
    if word.isdecimal() and len(word) <= 6:
        return spelled_number(int(word))
    return _SPELLINGS.get(word, [word])


def spelled_number(number: int) -> list[str]:
    """Return the English words of a number below a million."""
    if number >= 1000:
        thousands, rest = divmod(number, 1000)
        return [*spelled_number(thousands), "thousand", *(spelled_number(rest) if rest else [])]
    if number >= 100:
        hundreds, rest = divmod(number, 100)
        return [_ORDINARY[hundreds], "hundred", *(spelled_number(rest) if rest else [])]
    if number < 20:
        return [_ORDINARY[number]]
    tens, rest = divmod(number, 10)
    return [_TENS[tens], *([_ORDINARY[rest]] if rest else [])]
