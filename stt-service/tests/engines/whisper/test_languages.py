"""Which languages each size of Whisper is used for."""

from __future__ import annotations

import pytest
from stt_service.engines.whisper.languages import SPOKEN, languages_of


@pytest.mark.parametrize(
    ("width", "multilingual", "hindi"),
    [(384, True, False), (512, True, False), (768, True, True), (1280, True, True), (384, False, False)],
)
def test_hindi_needs_a_larger_model(width: int, multilingual: bool, hindi: bool) -> None:
    languages = languages_of(width, multilingual, ["en", "ja", *SPOKEN])
    assert ("hi" in languages) == hindi
    assert "ja" not in languages
    assert len(languages) == (1 if not multilingual else 8 if hindi else 7)


def test_a_language_needs_a_token_of_the_model() -> None:
    assert languages_of(512, True, ["en", "de"]) == ("en", "de")
