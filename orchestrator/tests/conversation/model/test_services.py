"""Matching of voice ids, with and without the engine's name, and personas' voices that are not there."""

from __future__ import annotations

import logging

import pytest
from orchestrator.conversation.messages.server import VoiceChoice
from orchestrator.conversation.model.observable import Observable
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


def services(*voices: VoiceChoice) -> Services:
    return Services(
        voice_activity=None,  # type: ignore[arg-type]
        speech_to_text=None,  # type: ignore[arg-type]
        language_model=lambda: None,  # type: ignore[arg-type,return-value]
        text_to_speech=None,  # type: ignore[arg-type]
        personas={},
        system_status=None,  # type: ignore[arg-type]
        voices=Observable(voices),
    )


def test_missing_voice_of_a_persona_leaves_the_default_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    here = services(VoiceChoice("espeak:en-us", "", ("en",)), VoiceChoice("hibari:heart", "", ("en",)))
    with caplog.at_level(logging.WARNING):
        assert [here.listed_voice("kokoro:am_adam", "en") for _ in range(3)] == ["", "", ""]
        assert here.listed_voice("hibari:heart", "de") == ""
    assert len(caplog.records) == 2
    assert here.listed_voice("heart", "en") == "heart"
    assert here.listed_voice("en-us", "en") == "en-us"
    assert here.listed_voice("", "en") == ""


def test_voice_of_a_persona_stands_while_the_voices_are_unknown() -> None:
    assert services().listed_voice("heart", "en") == "heart"
