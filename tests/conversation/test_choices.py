"""The choices of voices, personas and styles that a session announces."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from orchestrator.conversation.model.services import LANGUAGES

TONE = server_messages.VoiceChoice("tone", "Tone", ("en",), "scripted")
NORA = server_messages.VoiceChoice("nora", "Nora", ("en", "de"), "piper", cloned=True)


async def test_choices_follow_session_started(stage):
    stage.voices.set((TONE,))
    async with stage:
        choices = await stage.until(server_messages.Choices)
    assert [type(message) for _, message in stage.client.messages[:2]] == [
        server_messages.SessionStarted,
        server_messages.Choices,
    ]
    assert choices.voices == (TONE,)
    assert choices.personas == (server_messages.PersonaChoice("anchor", "Anna", "Reads the news."),)
    assert choices.languages == ("auto", *LANGUAGES)


async def test_new_voices_are_announced_once(stage):
    async with stage:
        assert (await stage.until(server_messages.Choices)).voices == ()
        stage.voices.set((TONE, NORA))
        assert (await stage.until(server_messages.Choices, 2)).voices == (TONE, NORA)
        stage.voices.set((TONE, NORA))
        await stage.silence(100)
    assert len(stage.client.of_type(server_messages.Choices)) == 2


async def test_style_change_is_confirmed_and_reaches_the_llm(stage):
    async with stage:
        stage.anchor_will_say("Well.")
        stage.command(client_messages.SetStyle(warmth=0.9, pace=1.2))
        await stage.until(server_messages.SessionUpdated)
        stage.command(client_messages.SetStyle(pace=1.5))
        updated = await stage.until(server_messages.SessionUpdated, 2)
        assert updated.style == server_messages.Style(pace=1.5, warmth=0.9)
        stage.command(client_messages.TextInput("hello"))
        await stage.until(server_messages.ReplyFinished)
    assert stage.llm.prompts[-1].style == updated.style


async def test_questions_to_begin_with_are_those_of_the_talks_languages(stage):
    stage.sample_questions = {"xx": ("?",), "de": ("Regnet es?",), "en": ("Who bakes?",)}
    async with stage:
        choices = await stage.until(server_messages.Choices)
    assert choices.sample_questions == (
        server_messages.SampleQuestions("en", ("Who bakes?",)),
        server_messages.SampleQuestions("de", ("Regnet es?",)),
    )


async def test_voices_of_a_persona_are_told_where_they_speak(stage):
    stage.persona = replace(stage.persona, voices={"en": "nora", "fr": "gone"})
    stage.voices.set((TONE, NORA))
    async with stage:
        choices = await stage.until(server_messages.Choices)
    assert choices.personas[0].voices == (server_messages.LanguageVoice("en", "nora"),)
