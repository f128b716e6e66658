"""Words as the ear compares them: without case, diacritics and punctuation, in any script."""

from __future__ import annotations

import re
import unicodedata

# A word is letters and digits with whatever marks stand on them: Devanagari writes its vowels as marks.
_GAP = re.compile(r"[^\w\u0900-\u097f]+|_|[\u0964\u0965]")
_ELONGATED = re.compile(r"(\w)\1+")
# Accents of the Latin script, and the dot of the Devanagari: recognisers set them, or do not, as they like.
_ACCENTS = re.compile("[\u0300-\u036f\u093c]")
_NASAL = str.maketrans("\u0901", "\u0902")


def words_of(text: str) -> tuple[str, ...]:
    """The words of `text`; "D'accord, sí!" is `d`, `accord`, `si`."""
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold())).translate(_NASAL)
    return tuple(word for word in _GAP.split(unicodedata.normalize("NFC", plain)) if word)


def shortened(word: str) -> str:
    """`word` with every drawn-out letter said once: "mmmhm" is `mhm`."""
    return _ELONGATED.sub(r"\1", word)
