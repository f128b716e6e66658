"""Writes numbers in digits as words, since recognisers write "line 2" where a passage says "line two"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_UNITS = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = _words("twenty thirty forty fifty sixty seventy eighty ninety")
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
# 0 to 20 in the other languages, whose larger numbers are seldom single words.
_SMALL: Mapping[str, tuple[str, ...]] = {
    language: _words(words)
    for language, words in {
        "de": "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn "
        "siebzehn achtzehn neunzehn zwanzig",
        "es": "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis "
        "diecisiete dieciocho diecinueve veinte",
        "fr": "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept "
        "dix-huit dix-neuf vingt",
        "hi": "शून्य एक दो तीन चार पाँच छह सात आठ नौ दस ग्यारह बारह तेरह चौदह पंद्रह सोलह सत्रह अठारह उन्नीस बीस",
        "it": "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici "
        "sedici diciassette diciotto diciannove venti",
        "nl": "nul een twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien "
        "zeventien achttien negentien twintig",
        "pt": "zero um dois três quatro cinco seis sete oito nove dez onze doze treze quatorze quinze dezesseis "
        "dezessete dezoito dezenove vinte",
    }.items()
}
_NUMBER = re.compile(r"(?<!\w)([0-9]{1,4})(st|nd|rd|th)?(?!\w)")


def spell_numbers(text: str, language: str) -> str:
    """Return `text` with its numbers as words: to 9999 and with ordinals in English, to 20 in the other languages.

    Other numbers stay in digits.
    """

    def spelt(match: re.Match[str]) -> str:
        value, ending = int(match[1]), match[2]
        if language == "en":
            words = list(_english(value))
            return " ".join([*words[:-1], _ordinal(words[-1])] if ending else words)
        small = _SMALL.get(language, ())
        return small[value] if value < len(small) and not ending else match[0]

    return _NUMBER.sub(spelt, text)


def _english(value: int) -> Iterator[str]:
    for unit, name in ((1000, "thousand"), (100, "hundred")):
        if value >= unit:
            yield from (_UNITS[value // unit], name)
            value %= unit
            if not value:
                return
    if value < len(_UNITS):
        yield _UNITS[value]
        return
    yield _TENS[value // 10 - 2]
    if value % 10:
        yield _UNITS[value % 10]


def _ordinal(word: str) -> str:
    if word in _ORDINALS:
        return _ORDINALS[word]
    return f"{word[:-1]}ieth" if word.endswith("y") else f"{word}th"
