"""A reply that continues in another language: each language has a stream of its own at the TTS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from orchestrator.conversation.model.ports import Prompt, ReplyPiece
from sentence_tts import ENGINE_FAILED, STORY, WORD_MS, TtsFault, expected_words, played_words

FIRST, REST = STORY[:35], STORY[35:]


async def german_then_english(prompt: Prompt) -> AsyncGenerator[str]:
    """Words of the story, those after the first sentence in another language."""
    for word in FIRST.split():
        yield f"{word} "
    for word in REST.split():
        yield ReplyPiece(f"{word} ", "de")


async def test_each_language_is_spoken_in_a_stream_of_its_own(story_stage, tts, monkeypatch):
    monkeypatch.setattr(story_stage.llm, "reply", german_then_english)
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        finished = await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert tts.opened_in == ["en", "de"]
    assert played_words(story_stage) == expected_words(STORY)
    assert finished.heard_text == STORY
    marks = story_stage.client.of_type(server_messages.SpeechMark)
    assert [STORY[mark.text_start : mark.text_end] for mark in marks] == STORY.split()
    assert [mark.offset_ms for mark in marks] == [index * WORD_MS for index in range(len(marks))]


async def test_failover_continues_in_the_language_that_failed(story_stage, tts, monkeypatch):
    monkeypatch.setattr(story_stage.llm, "reply", german_then_english)
    tts.faults.extend([None, TtsFault(ENGINE_FAILED, at_word=12, spoken_ms=120)])
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        finished = await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert tts.opened_in == ["en", "de", "de"]
    assert played_words(story_stage) == expected_words(STORY)
    assert finished.heard_text == STORY


async def test_reply_in_another_language_has_one_stream_in_it(story_stage, tts, monkeypatch):
    async def german_only(prompt: Prompt) -> AsyncGenerator[str]:
        # The stream of the prompt's language may be open before the first word comes.
        while not tts.opened_in:
            await asyncio.sleep(0)
        for word in STORY.split():
            yield ReplyPiece(f"{word} ", "de")

    monkeypatch.setattr(story_stage.llm, "reply", german_only)
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        finished = await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert tts.opened_in == ["en", "de"]
    assert played_words(story_stage) == expected_words(STORY)
    assert finished.heard_text == STORY
