"""Word lists and language detection."""

from __future__ import annotations

import pytest
from stt_service.retranscribing.words import detect_language, language_words, normalise


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the latest on the ferry?", "en"),
        ("¿Cuáles son las noticias de hoy?", "es"),
        ("Quelles sont les nouvelles d'aujourd'hui ?", "fr"),
        ("Quais são as notícias de hoje?", "pt"),
        ("आज की ताज़ा ख़बर क्या है?", "hi"),
        ("Was gibt es heute Neues über die Fähre?", "de"),
        ("Wat is er vandaag in het nieuws?", "nl"),
        ("Quali sono le notizie di oggi?", "it"),
        ("ferry", ""),
        ("", ""),
        ("東京", ""),
    ],
)
def test_the_language_is_detected_by_its_common_words(text: str, language: str) -> None:
    assert detect_language(text) == language


def test_every_listed_phrase_is_normalised() -> None:
    for lists in language_words().values():
        for phrase in lists.credits | lists.doubtful:
            assert normalise(phrase) == phrase
