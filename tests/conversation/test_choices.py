"""What a session is told that there is to choose from."""

from __future__ import annotations

from orchestrator.conversation.messages import client as said
from orchestrator.conversation.messages import server as told

TONE = told.VoiceChoice("tone", "Tone", ("en",), "scripted")
NORA = told.VoiceChoice("nora", "Nora", ("en", "de"), "piper", cloned=True)


async def test_the_choices_follow_the_start(stage):
    stage.voices.post((TONE,))
    async with stage:
        choices = await stage.until(told.Choices)
    assert [type(message) for _, message in stage.ear.messages[:2]] == [told.SessionStarted, told.Choices]
    assert choices.voices == (TONE,)
    assert choices.personas == (told.PersonaChoice("anchor", "Anna", "Reads the news."),)
    assert "en" in choices.languages


async def test_a_voice_that_comes_is_told_of(stage):
    async with stage:
        assert (await stage.until(told.Choices)).voices == ()
        stage.voices.post((TONE, NORA))
        assert (await stage.until(told.Choices, 2)).voices == (TONE, NORA)
        stage.voices.post((TONE, NORA))
        await stage.silence(100)
    assert len(stage.ear.of(told.Choices)) == 2


async def test_a_change_of_manner_is_confirmed_and_reaches_the_model(stage):
    async with stage:
        stage.anchor_will_say("Well.")
        stage.command(said.SetStyle(warmth=0.9, pace=1.2))
        await stage.until(told.SessionUpdated)
        stage.command(said.SetStyle(pace=1.5))
        updated = await stage.until(told.SessionUpdated, 2)
        assert updated.style == told.Style(pace=1.5, warmth=0.9)
        stage.command(said.TextInput("hello"))
        await stage.until(told.ReplyFinished)
    assert stage.model.prompts[-1].style == updated.style
