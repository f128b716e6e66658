"""Automatic language: the reply is in the language that speech-to-text detects."""

from __future__ import annotations

from dataclasses import replace

import pytest
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from stage import PERSONA

ANN = server_messages.VoiceChoice("ann", "Ann", ("en",), "scripted")
EVA = server_messages.VoiceChoice("eva", "Eva", ("de", "es"), "scripted")
SPEAKS = {
    "en": {"did_not_catch": "Sorry?", "apology": "Sorry, something broke."},
    "de": {"did_not_catch": "Wie bitte?", "apology": "Da ging etwas schief."},
    "es": {"did_not_catch": "¿Cómo?", "apology": "Algo ha fallado."},
}


@pytest.fixture
def automatic(stage):
    """A stage whose language is automatic, with a persona of three languages."""
    stage.conversation.preferences.language = "auto"
    stage.persona = replace(PERSONA, phrases=SPEAKS, voices={"es": "eva-es"})
    stage.anchor_will_say("Well.")
    return stage


async def ask(stage, text: str, language: str, probability: float | None) -> str:
    """Ask a question in a language; return the language of the reply's prompt."""
    stage.stt.detected = (language, probability)
    finished = len(stage.client.of_type(server_messages.ReplyFinished))
    await stage.user(text)
    await stage.until(server_messages.ReplyFinished, finished + 1)
    return stage.llm.prompts[-1].language


async def test_reply_is_in_the_language_heard(automatic):
    async with automatic as stage:
        assert await ask(stage, "wie wird das Wetter", "de", 0.97) == "de"
        assert await ask(stage, "qué tiempo hará mañana", "es", 0.85) == "es"
        assert await ask(stage, "and how is it today", "en", 0.9) == "en"
    assert stage.stt.opened_with == [""]
    assert stage.tts.opened_with == [("", "de"), ("eva-es", "es"), ("", "en")]
    finals = stage.client.of_type(server_messages.FinalTranscript)
    assert [(final.language, final.language_probability) for final in finals] == [
        ("de", pytest.approx(0.97)),
        ("es", pytest.approx(0.85)),
        ("en", pytest.approx(0.9)),
    ]
    # The predictor of turn ends gets the language of the turn before, and that of each transcript.
    assert stage.vad.opened_with == ["", "de", "es", "en"]
    assert list(dict.fromkeys(stage.vad.transcript_languages)) == ["de", "es", "en"]
    started = stage.client.of_type(server_messages.SessionStarted)[0]
    assert started.language == "auto"


async def test_one_short_misdetected_utterance_does_not_change_the_language(automatic):
    async with automatic as stage:
        assert await ask(stage, "how is the weather", "en", 0.98) == "en"
        assert await ask(stage, "genau warum", "de", 0.95) == "en"
        assert await ask(stage, "and how is it tomorrow", "es", 0.6) == "en"
        assert await ask(stage, "tell me more", "en", 0.9) == "en"
        # Twice in a row is no accident.
        assert await ask(stage, "warum", "de", 0.7) == "en"
        assert await ask(stage, "weiter", "de", 0.7) == "de"


async def test_one_short_word_changes_no_language(automatic):
    async with automatic as stage:
        assert await ask(stage, "okay", "de", 0.7) == "en"
        assert await ask(stage, "wie wird das Wetter", "de", 0.98) == "de"
        assert await ask(stage, "okay", "en", 0.99) == "de"
        assert await ask(stage, "und wie wird es morgen", "de", 0.98) == "de"


async def test_language_that_the_persona_does_not_speak_is_ignored(automatic):
    async with automatic as stage:
        assert await ask(stage, "quel temps fera demain", "fr", 0.99) == "en"
        assert await ask(stage, "what is the weather", "", None) == "en"


async def test_language_without_a_voice_is_ignored(automatic):
    automatic.voices.set((ANN,))
    async with automatic as stage:
        assert await ask(stage, "wie wird das Wetter", "de", 0.99) == "en"
        stage.voices.set((ANN, EVA))
        assert await ask(stage, "wie wird das Wetter", "de", 0.99) == "de"


async def test_chosen_voice_speaks_only_its_own_languages(automatic):
    automatic.voices.set((ANN, EVA))
    automatic.conversation.preferences.voice = "ann"
    async with automatic as stage:
        await ask(stage, "how is the weather", "en", 0.99)
        await ask(stage, "wie wird das Wetter", "de", 0.99)
        await ask(stage, "and now in English", "en", 0.99)
    assert stage.tts.opened_with == [("ann", "en"), ("", "de"), ("ann", "en")]


async def test_engine_without_probabilities_changes_the_language_by_a_sentence(automatic):
    async with automatic as stage:
        assert await ask(stage, "how is the weather", "en", None) == "en"
        assert await ask(stage, "wie wird das Wetter", "de", None) == "de"


async def test_phrases_are_in_the_language_heard_last(automatic):
    async with automatic as stage:
        await ask(stage, "wie wird das Wetter", "de", 0.99)
        stage.stt.recognises_nothing = True
        await stage.noise(900)
        finished = await stage.until(server_messages.ReplyFinished, 2)
    assert finished.heard_text == "Wie bitte?"


async def test_language_becomes_automatic_in_mid_session(automatic):
    automatic.conversation.preferences.language = "en"
    async with automatic as stage:
        assert await ask(stage, "wie wird das Wetter", "de", 0.99) == "en"
        stage.command(client_messages.SetLanguage("auto"))
        updated = await stage.until(server_messages.SessionUpdated)
        assert await ask(stage, "wie wird das Wetter", "de", 0.99) == "de"
        stage.command(client_messages.SetLanguage("en-US"))
        fixed = await stage.until(server_messages.SessionUpdated, 2)
        assert await ask(stage, "wie wird das Wetter", "de", 0.99) == "en"
    assert (updated.language, fixed.language) == ("auto", "en")
    assert stage.stt.opened_with == ["en", "", "en"]


async def test_a_typed_turn_is_answered_in_the_language_heard_last(automatic):
    async with automatic as stage:
        await ask(stage, "wie wird das Wetter", "de", 0.99)
        stage.command(client_messages.TextInput("und morgen"))
        await stage.until(server_messages.ReplyFinished, 2)
    assert stage.llm.prompts[-1].language == "de"


async def test_echo_in_another_language_changes_nothing(automatic):
    automatic.anchor_will_say("Once upon a time there was a king who could not sleep at night.")
    async with automatic as stage:
        await ask(stage, "tell me a story", "en", 0.99)
        stage.stt.detected = ("de", 0.99)
        await stage.user("mhm")
        await stage.silence(2_000)
        assert await ask(stage, "and then what happened", "en", 0.99) == "en"
