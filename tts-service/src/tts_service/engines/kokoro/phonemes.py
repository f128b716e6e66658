"""Text to the phonemes that Kokoro was trained on, and phonemes to its token numbers. Pure, but for the worker's words.

For languages other than English its training used misaki's `EspeakG2P`: eSpeak NG's IPA with ties, with a letter of its
own for each diphthong and affricate. For English that library has a dictionary; here eSpeak's IPA is mapped with the
rules that it has for words outside its dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

# Kokoro's `config.json`, "vocab": the token number of each character; 0 is the pad at both ends.
_CHARACTERS = {
    **dict(zip(";:,.!?", range(1, 7), strict=True)),
    **dict(zip('—…"()“” \u0303ʣʥʦʨᵝꭧAI', range(9, 26), strict=True)),
    **{"O": 31, "Q": 33, "S": 35, "T": 36, "W": 39, "Y": 41, "ᵊ": 42},
    **dict(zip("abcdef", range(43, 49), strict=True)),
    **dict(zip("hijklmnopqrstuvwxyz", range(50, 69), strict=True)),
    **{"ɑ": 69, "ɐ": 70, "ɒ": 71, "æ": 72, "β": 75, "ɔ": 76, "ɕ": 77, "ç": 78, "ɖ": 80, "ð": 81, "ʤ": 82, "ə": 83},
    **{"ɚ": 85, "ɛ": 86, "ɜ": 87, "ɟ": 90, "ɡ": 92, "ɥ": 99, "ɨ": 101, "ɪ": 102, "ʝ": 103, "ɯ": 110, "ɰ": 111},
    **{"ŋ": 112, "ɳ": 113, "ɲ": 114, "ɴ": 115, "ø": 116, "ɸ": 118, "θ": 119, "œ": 120, "ɹ": 123, "ɾ": 125, "ɻ": 126},
    **{"ʁ": 128, "ɽ": 129, "ʂ": 130, "ʃ": 131, "ʈ": 132, "ʧ": 133, "ʊ": 135, "ʋ": 136, "ʌ": 138, "ɣ": 139, "ɤ": 140},
    **{"χ": 142, "ʎ": 143, "ʒ": 147, "ʔ": 148, "ˈ": 156, "ˌ": 157, "ː": 158, "ʰ": 162, "ʲ": 164, "↓": 169, "→": 171},
    **{"↗": 172, "↘": 173, "ᵻ": 177},
}
VOCABULARY: dict[str, int] = _CHARACTERS

# eSpeak's voice for each language; the first letter of a Kokoro voice's name says which of two for English.
_ESPEAK_VOICES = {"a": "en-us", "b": "en", "e": "es", "f": "fr", "h": "hi", "i": "it", "p": "pt-br"}

# A mark between two digits belongs to the number ("1.500", "10:30"), which eSpeak reads as one.
_PUNCTUATION = re.compile(r"\s*((?:(?!(?<=\d)[.,:](?=\d))[;:,.!?¡¿—…\"«»“”()।])+)\s*")
_SPOKEN_PUNCTUATION = str.maketrans({"¡": "", "¿": "", "«": "“", "»": "”", "।": "."})
# eSpeak marks words that it reads in another language: `(en)wˈiːkɛnd(es)`.
_LANGUAGE_MARK = re.compile(r"\([a-z-]+\)")

_TIED = {
    "a^ɪ": "I", "a^ʊ": "W", "d^z": "ʣ", "d^ʒ": "ʤ", "e^ɪ": "A", "o^ʊ": "O", "ə^ʊ": "Q", "s^s": "S", "t^s": "ʦ",
    "t^ʃ": "ʧ", "ɔ^ɪ": "Y",
}  # fmt: skip
_ENGLISH = {
    "ə^l": "ᵊl", "ʔˌn\u0329": "tᵊn", "ʔn": "tᵊn", "ʲO": "jO", "ʲQ": "jQ", "\u0303": "", "e": "A", "r": "ɹ", "x": "k",
    "ç": "k", "ɐ": "ə", "ɚ": "əɹ", "ɬ": "l", "ʔ": "t", "ʲ": "", "\u0329": "", "ɾ": "T",
}  # fmt: skip
_AMERICAN = {"ɜːɹ": "ɜɹ", "ɜː": "ɜɹ", "ɪə": "iə", "ː": ""}
_BRITISH = {"e^ə": "ɛː", "i^ə": "ɪə", "iə": "ɪə"}

# Phonemes of each text, in eSpeak's voice.
Phonemize = Callable[[list[str], str], Awaitable[list[str]]]


async def to_phonemes(text: str, voice: str, phonemize: Phonemize) -> str:
    """The phonemes of `text` for the Kokoro voice `voice`, with the punctuation that Kokoro reads as pauses."""
    # At even places text, at odd ones punctuation.
    parts = _PUNCTUATION.split(text)
    words = await phonemize(parts[::2], _ESPEAK_VOICES[voice[0]])
    pieces: list[str] = []
    for position, spoken in enumerate(words):
        pieces.append(map_ipa(spoken, voice))
        if 2 * position + 1 < len(parts):
            marks = parts[2 * position + 1].translate(_SPOKEN_PUNCTUATION)
            pieces.append(marks + " " if marks else " ")
    return re.sub(r"\s+", " ", "".join(pieces)).strip()


def map_ipa(ipa: str, voice: str) -> str:
    """eSpeak's IPA with ties as Kokoro's phonemes."""
    ipa = _LANGUAGE_MARK.sub("", ipa)
    if voice[0] in "ab":
        ipa = _replace(ipa, _BRITISH if voice[0] == "b" else {})
        ipa = _replace(_replace(ipa, _TIED), _ENGLISH)
        ipa = _replace(ipa, _AMERICAN if voice[0] == "a" else {})
    else:
        ipa = _replace(ipa, _TIED).replace("-", "")
    return ipa.replace("^", "")


def to_tokens(phonemes: str) -> list[int]:
    """The token numbers of phonemes; characters that Kokoro does not know are left out."""
    return [VOCABULARY[character] for character in phonemes if character in VOCABULARY]


def _replace(text: str, rules: dict[str, str]) -> str:
    for old, new in rules.items():
        text = text.replace(old, new)
    return text
