"""The names of the languages in each of them, as in "I have that in English only"."""

from __future__ import annotations

from collections.abc import Mapping

_ORDER = ("en", "de", "es", "fr", "hi", "it", "nl", "pt")
_NAMES: Mapping[str, Mapping[str, str]] = {
    language: dict(zip(_ORDER, names.split(), strict=True))
    for language, names in {
        "en": "English German Spanish French Hindi Italian Dutch Portuguese",
        "de": "Englisch Deutsch Spanisch Französisch Hindi Italienisch Niederländisch Portugiesisch",
        "es": "inglés alemán español francés hindi italiano neerlandés portugués",
        "fr": "anglais allemand espagnol français hindi italien néerlandais portugais",
        "hi": "अंग्रेज़ी जर्मन स्पेनिश फ़्रेंच हिंदी इतालवी डच पुर्तगाली",
        "it": "inglese tedesco spagnolo francese hindi italiano olandese portoghese",
        "nl": "Engels Duits Spaans Frans Hindi Italiaans Nederlands Portugees",
        "pt": "inglês alemão espanhol francês hindi italiano holandês português",
    }.items()
}


def language_name(language: str, spoken: str) -> str:
    """Return the name of `language` in the language `spoken`, or in English; its code when it has none here."""
    return _NAMES.get(spoken, _NAMES["en"]).get(language, language)
