"""Matching of voice ids, with and without the engine's name, and personas' voices that are not there."""

from __future__ import annotations

import logging

import pytest
from orchestrator.conversation.messages.client import SetVoice
from orchestrator.conversation.messages.server import VoiceChoice
from orchestrator.conversation.model.conversation import Preferences
from orchestrator.conversation.model.observable import Observable
from orchestrator.conversation.model.ports import Persona
from orchestrator.conversation.model.services import Services, is_listed


@pytest.mark.parametrize(
    ("voice", "voices"),
    [
        ("en-us", ("en-us", "de")),
        ("higgs:anna", ("higgs:anna", "espeak:en-us")),
        # Chosen while one engine ran, and while several did.
        ("en-us", ("higgs:anna", "espeak:en-us")),
        ("espeak:en-us", ("en-us", "de")),
    ],
)
def test_voice_is_listed_with_or_without_its_engine(voice: str, voices: tuple[str, ...]) -> None:
    assert is_listed(voice, voices)


@pytest.mark.parametrize("voice", ["anna", "us", "higgs:en-us", "higgs:", ":"])
def test_other_names_are_not_listed(voice: str) -> None:
    assert not is_listed(voice, ("espeak:en-us", "higgs:hanna"))


def persona(voice: str) -> Persona:
    return Persona("anchor", "Anchor", "", {"en": voice, "de": voice})


def services(*voices: VoiceChoice, default_voice: str = "") -> Services:
    return Services(
        voice_activity=None,  # type: ignore[arg-type]
        speech_to_text=None,  # type: ignore[arg-type]
        language_model=lambda: None,  # type: ignore[arg-type,return-value]
        text_to_speech=None,  # type: ignore[arg-type]
        personas={},
        default_voice=default_voice,
        system_status=None,  # type: ignore[arg-type]
        voices=Observable(voices),
    )


def test_missing_voice_of_a_persona_leaves_the_default_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    here = services(VoiceChoice("espeak:en-us", "", ("en",)), VoiceChoice("hibari:heart", "", ("en",)))
    with caplog.at_level(logging.WARNING):
        assert [here.voice_of(persona("kokoro:am_adam"), "en") for _ in range(3)] == ["", "", ""]
        assert here.voice_of(persona("hibari:heart"), "de") == ""
    assert len(caplog.records) == 2
    assert here.voice_of(persona("heart"), "en") == "heart"
    assert here.voice_of(persona("en-us"), "en") == "en-us"
    assert here.voice_of(persona(""), "en") == ""


def test_voice_of_a_persona_stands_while_the_voices_are_unknown() -> None:
    assert services().voice_of(persona("heart"), "en") == "heart"


def test_default_voice_speaks_where_the_persona_names_none(caplog: pytest.LogCaptureFixture) -> None:
    voices = (VoiceChoice("espeak:en-us", "", ("en",)), VoiceChoice("hibari:heart", "", ("en",)))
    here = services(*voices, default_voice="heart")
    assert here.voice_of(persona(""), "en") == "heart"
    assert here.voice_of(persona("en-us"), "en") == "en-us"
    # It does not speak German: the engine's default does, and nothing is wrong.
    assert here.voice_of(persona(""), "de") == ""
    assert caplog.records == []
    assert services(*voices, default_voice="anna").voice_of(persona(""), "en") == ""
    assert "anna" in [record.__dict__["voice"] for record in caplog.records]


def test_voice_called_default_is_the_languages_own() -> None:
    here = services(VoiceChoice("espeak:en-us", "", ("en",)))
    here.check_voice("default")
    preferences = Preferences("en", "en-us", "anchor", patience=1)
    preferences.set(SetVoice("default"))
    assert preferences.voice == ""


def test_deleted_voice_is_not_available() -> None:
    voice = VoiceChoice("higgs:ana-1234", "Ana", ("en",), cloned=True)
    here = services(VoiceChoice("espeak:en-us", "", ("en", "de")), voice)
    assert here.is_available("ana-1234", "en")
    assert not here.is_available("ana-1234", "de")
    here.voices.set((VoiceChoice("espeak:en-us", "", ("en", "de")),))
    assert not here.is_available("ana-1234", "en")
    # Before tts-service has answered, it alone knows the voices.
    assert services().is_available("ana-1234", "en")
