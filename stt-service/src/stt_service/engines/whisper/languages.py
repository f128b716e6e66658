"""The languages of each size of Whisper: those of the mesh that it recognises well enough to be answered."""

from __future__ import annotations

from collections.abc import Sequence

# Every language that the mesh can speak, ISO 639-1.
SPOKEN = ("en", "es", "fr", "pt", "hi", "de", "nl", "it")
# Base writes Hindi in another script: spoken Hindi sentences come back in that of Urdu. Tiny is smaller.
WITHOUT_HINDI = tuple(language for language in SPOKEN if language != "hi")
# By the width of the model's states, which names its size: tiny 384, base 512, small 768, medium 1024, large 1280.
_LANGUAGES_FROM_WIDTH = {0: WITHOUT_HINDI, 768: SPOKEN}


def languages_of(width: int, multilingual: bool, known: Sequence[str]) -> tuple[str, ...]:
    """Return the languages to accept, for a model of that width that has language tokens for `known`."""
    if not multilingual:
        return ("en",)
    accepted = _LANGUAGES_FROM_WIDTH[max(least for least in _LANGUAGES_FROM_WIDTH if least <= width)]
    return tuple(language for language in accepted if language in known)
