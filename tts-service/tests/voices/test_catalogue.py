from __future__ import annotations

import math

import pytest
from service_kit.errors import InvalidRequest
from tts_service.engine import Style, Voice
from tts_service.engines.espeak.engine import VOICES
from tts_service.voices.catalogue import find_voice, resolve_config, voices_for_language

SPOKEN = (Voice("a", "A", ("en",)), Voice("b", "B", ("en", "de")), Voice("c", "C", ("fr",)))


@pytest.mark.parametrize(
    ("voice", "language", "chosen"),
    [("", "en", "a"), ("", "de-AT", "b"), ("b", "de", "b"), ("c", "", "c"), ("", "FR_ca", "c")],
)
def test_voice_is_resolved_by_id_or_as_the_default_of_a_language(voice: str, language: str, chosen: str) -> None:
    assert resolve_config(SPOKEN, voice, language, Style()).voice.id == chosen


@pytest.mark.parametrize(
    ("voice", "language", "style", "code"),
    [
        ("unknown", "en", Style(), "tts.unknown_voice"),
        ("a", "de", Style(), "tts.unknown_language"),
        ("", "xx", Style(), "tts.unknown_language"),
        ("", "", Style(), "tts.unknown_language"),
        ("", "en", Style(pace=3), "tts.style_out_of_range"),
        ("", "en", Style(pace=math.nan), "tts.style_out_of_range"),
        ("", "en", Style(energy=-0.1), "tts.style_out_of_range"),
    ],
)
def test_invalid_voice_language_or_style_is_refused(voice: str, language: str, style: Style, code: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        resolve_config(SPOKEN, voice, language, style)
    assert refusal.value.code == code


def test_voices_of_a_language_start_with_its_default() -> None:
    assert [voice.id for voice in voices_for_language(SPOKEN, "en")] == ["a", "b"]
    assert len(voices_for_language(SPOKEN, "")) == 3
    assert voices_for_language(VOICES, "pt")[0].id == "pt-br"
    assert len({voice.id for voice in VOICES}) == len(VOICES)


@pytest.mark.parametrize(
    ("listed", "asked", "found"),
    [
        (("en-us", "de"), "en-us", "en-us"),
        # Chosen from several engines, requested from a single one; and the reverse.
        (("en-us", "de"), "espeak:en-us", "en-us"),
        (("higgs:anna", "espeak:en-us"), "en-us", "espeak:en-us"),
        (("higgs:anna", "espeak:anna"), "anna", "higgs:anna"),
        (("higgs:anna", "espeak:anna"), "espeak:anna", "espeak:anna"),
        (("higgs:anna",), "espeak:anna", None),
        (("higgs:anna",), "ann", None),
    ],
)
def test_voice_is_found_by_qualified_and_local_id(listed: tuple[str, ...], asked: str, found: str | None) -> None:
    voices = [Voice(voice, voice, ("en",), engine=voice.rpartition(":")[0]) for voice in listed]
    voice = find_voice(voices, asked)
    assert (voice.id if voice else None) == found
