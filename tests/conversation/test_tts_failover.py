"""TTS failover: replies continue when the TTS fails, hangs or is unavailable."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from orchestrator.conversation.output.playout import Playout
from sentence_tts import (
    ENGINE_FAILED,
    STORY,
    UNAVAILABLE,
    WORD_MS,
    SentenceTts,
    TtsFault,
    expected_words,
    metric_value,
    played_words,
)
from service_kit.errors import AnchorError, InvalidRequest, NotReady


async def test_unsent_sentence_is_repeated_after_a_tts_failure(story_stage, tts):
    tts.faults.append(TtsFault(ENGINE_FAILED, at_word=20, spoken_ms=120))
    before = metric_value("anchor_voice_failures_total", then="again")
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        finished = await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert played_words(story_stage) == expected_words(STORY)
    assert finished.heard_text == STORY
    assert not story_stage.client.of_type(server_messages.Error)
    assert tts.opened_with == ["", ""]
    assert metric_value("anchor_voice_failures_total", then="again") == before + 1
    marks = story_stage.client.of_type(server_messages.SpeechMark)
    assert [STORY[mark.text_start : mark.text_end] for mark in marks] == STORY.split()
    assert [mark.offset_ms for mark in marks] == [index * WORD_MS for index in range(len(marks))]


async def test_partly_sent_sentence_continues_at_the_failed_word(story_stage, tts):
    # As slow as playback, so that all synthesised audio has been sent.
    tts.real_time_factor = 1.0
    tts.faults.append(TtsFault(ENGINE_FAILED, at_word=4, spoken_ms=120))
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        finished = await story_stage.until(server_messages.ReplyFinished, within_s=60)
    words = expected_words(STORY)
    assert played_words(story_stage) == [*words[:4], (words[4][0], 120 + WORD_MS), *words[5:]]
    assert finished.heard_text == STORY
    assert finished.heard_ms == len(words) * WORD_MS + 120


async def test_heard_words_are_exact_after_a_failover(story_stage, tts):
    tts.faults.append(TtsFault(ENGINE_FAILED, at_word=20, spoken_ms=120))
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        await story_stage.until_played(30 * WORD_MS)
        story_stage.command(client_messages.Interrupt())
        finished = await story_stage.until(server_messages.ReplyFinished)
    assert finished.heard_text.split() in (STORY.split()[:30], STORY.split()[:31])


async def test_briefly_unavailable_tts_is_retried_without_a_notice(story_stage, tts):
    tts.faults.extend([TtsFault(UNAVAILABLE, at_word=4), *[TtsFault(UNAVAILABLE, at_word=-1)] * 9])
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        finished = await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert played_words(story_stage) == expected_words(STORY)
    assert finished.heard_text == STORY
    assert not story_stage.client.of_type(server_messages.Error)


async def test_unavailable_tts_leads_to_captions(story_stage, tts):
    tts.faults.extend([TtsFault(UNAVAILABLE, at_word=4), *[TtsFault(UNAVAILABLE, at_word=-1)] * 500])
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        await story_stage.until_played(3 * WORD_MS)
        error = await story_stage.until(server_messages.Error, within_s=4)
        assert story_stage.now_ms - story_stage.client.last_frame_s * 1000 <= 4 * WORD_MS + 1600
        finished = await story_stage.until(server_messages.ReplyFinished)
    assert (error.code, error.message) == ("tts.unavailable", "captions only: gone")
    assert "".join(message.text for message in story_stage.client.of_type(server_messages.ReplyText)) == STORY
    assert (finished.heard_text, finished.interrupted) == ("Once upon a time", True)
    assert story_stage.history == [("user", "a story"), ("anchor", "Once upon a time")]
    assert len(tts.opened_with) <= 60


class AwayTts:
    """A TTS that is away until `returns_s` on the loop's clock, or for `leaves_for_s` after its next stream."""

    def __init__(self, tts: SentenceTts, error: AnchorError = UNAVAILABLE) -> None:
        self._tts = tts
        self._error = error
        self.returns_s = self.leaves_for_s = 0.0

    @asynccontextmanager
    async def open(self, voice, language, style):
        if asyncio.get_running_loop().time() < self.returns_s:
            raise self._error
        try:
            async with self._tts.open(voice, language, style) as stream:
                yield stream
        finally:
            self.returns_s = asyncio.get_running_loop().time() + self.leaves_for_s
            self.leaves_for_s = 0.0


@pytest.mark.parametrize("away_s", [3.0, 9.0])
@pytest.mark.parametrize("error", [UNAVAILABLE, NotReady("tts-service.not_ready", "draining")])
async def test_voice_that_returns_speaks_a_mute_reply_from_its_start(story_stage, tts, away_s, error):
    away = story_stage.main_tts = AwayTts(tts, error)
    before = metric_value("anchor_voice_failures_total", then="returned")
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        away.returns_s = asyncio.get_running_loop().time() + away_s
        captions = await story_stage.until(server_messages.Error)
        assert captions.message.startswith("captions only")
        assert story_stage.client.pcm == b""
        await story_stage.until(server_messages.ReplyAudio)
        assert asyncio.get_running_loop().time() - away.returns_s <= 0.8
        finished = await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert played_words(story_stage) == expected_words(STORY)
    assert (finished.heard_text, finished.interrupted) == (STORY, False)
    assert len(story_stage.client.of_type(server_messages.Error)) == 1
    assert metric_value("anchor_voice_failures_total", then="returned") == before + 1


async def test_voice_that_returns_continues_where_it_fell_silent(story_stage, tts):
    tts.faults.append(TtsFault(UNAVAILABLE, at_word=4))
    away = story_stage.main_tts = AwayTts(tts)
    away.leaves_for_s = 6.0
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        await story_stage.until(server_messages.Error)
        assert len(played_words(story_stage)) == 4
        finished = await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert played_words(story_stage) == expected_words(STORY)
    assert finished.heard_text == STORY


async def test_first_tts_speaks_the_rest_when_both_were_away(story_stage, tts):
    away = story_stage.main_tts = AwayTts(tts)
    other = story_stage.fallback_tts = (AwayTts(SentenceTts()),)
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        away.returns_s = asyncio.get_running_loop().time() + 4
        other[0].returns_s = away.returns_s + 600
        finished = await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert played_words(story_stage) == expected_words(STORY)
    assert finished.heard_text == STORY


async def test_words_that_were_never_audible_are_not_heard(story_stage, tts):
    away = story_stage.main_tts = AwayTts(tts)
    async with story_stage:
        away.returns_s = asyncio.get_running_loop().time() + 600
        story_stage.command(client_messages.TextInput("a story"))
        finished = await story_stage.until(server_messages.ReplyFinished, within_s=60)
        assert (finished.heard_text, finished.heard_ms, finished.interrupted) == ("", 0, True)
        assert story_stage.history == [("user", "a story")]
        away.returns_s = 0
        story_stage.command(client_messages.TextInput("the story please"))
        again = await story_stage.until(server_messages.ReplyFinished, 2, within_s=60)
    assert again.heard_text == STORY
    assert story_stage.history[-1] == ("anchor", STORY)


async def test_typing_over_a_mute_reply_ends_it(story_stage, tts):
    away = story_stage.main_tts = AwayTts(tts)
    async with story_stage:
        away.returns_s = asyncio.get_running_loop().time() + 5
        story_stage.command(client_messages.TextInput("a story"))
        await story_stage.until(server_messages.Error)
        story_stage.command(client_messages.TextInput("another one"))
        await story_stage.until(server_messages.ReplyFinished, 2, within_s=60)
    assert story_stage.history == [("user", "a story"), ("user", "another one"), ("anchor", STORY)]
    assert played_words(story_stage) == expected_words(STORY)


async def test_words_said_over_a_mute_reply_continue_the_question(story_stage, tts):
    away = story_stage.main_tts = AwayTts(tts)
    async with story_stage:
        away.returns_s = asyncio.get_running_loop().time() + 8
        await story_stage.user("tell me a story")
        await story_stage.until(server_messages.Error)
        await story_stage.user("about a king")
        finished = await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert story_stage.llm.prompts[-1].text == "tell me a story about a king"
    assert finished.heard_text == STORY
    assert story_stage.history == [("user", "tell me a story about a king"), ("anchor", STORY)]


async def test_failed_engine_is_retried_once_only(story_stage, tts):
    tts.faults.extend([TtsFault(ENGINE_FAILED, at_word=0)] * 3)
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        finished = await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert len(tts.opened_with) == 2
    assert story_stage.client.of_type(server_messages.Error)[0].code == "tts.engine_failed"
    assert finished.heard_text == ""
    assert story_stage.history == [("user", "a story")]


async def test_fallback_tts_continues_and_the_client_is_notified(story_stage, tts):
    other = SentenceTts()
    story_stage.fallback_tts = (other,)
    tts.faults.extend([TtsFault(ENGINE_FAILED, at_word=20), TtsFault(ENGINE_FAILED, at_word=6)])
    async with story_stage:
        story_stage.command(client_messages.SetVoice("marie"))
        story_stage.command(client_messages.TextInput("a story"))
        finished = await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert played_words(story_stage) == expected_words(STORY)
    assert finished.heard_text == STORY
    assert (tts.opened_with, other.opened_with) == (["marie", "marie"], [""])
    (error,) = story_stage.client.of_type(server_messages.Error)
    assert (error.code, error.message) == ("tts.engine_failed", "continuing with the fallback TTS: it broke")


async def test_unknown_voice_is_not_retried(story_stage, tts):
    tts.faults.append(TtsFault(InvalidRequest("tts.unknown_voice", "nobody"), at_word=0))
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert len(tts.opened_with) == 1
    assert story_stage.client.of_type(server_messages.Error)[0].code == "tts.unknown_voice"


async def test_hanging_tts_is_replaced_while_the_client_waits(story_stage, tts):
    tts.faults.append(TtsFault(at_word=10, stall_s=1000))
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        finished = await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert len(tts.opened_with) == 2
    assert played_words(story_stage) == expected_words(STORY)
    assert finished.heard_text == STORY
    assert [error.code for error in story_stage.client.of_type(server_messages.Error)] == ["tts.late"]


async def test_a_tts_without_a_first_word_is_reported_before_it_is_replaced(story_stage, tts):
    tts.faults.append(TtsFault(at_word=0, stall_s=1000))
    async with story_stage:
        begun_s = asyncio.get_running_loop().time()
        story_stage.command(client_messages.TextInput("a story"))
        error = await story_stage.until(server_messages.Error)
        assert asyncio.get_running_loop().time() - begun_s < 2.5
        await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert error.code == "tts.late"
    assert played_words(story_stage) == expected_words(STORY)


async def test_tts_that_waits_for_a_listener_has_not_failed(story_stage, tts, monkeypatch):
    # As for a REST client, which takes 12 s of speech within 2 s; a TTS that paces itself then waits.
    tts.faults.append(TtsFault(at_word=40, stall_s=8))
    monkeypatch.setattr(Playout, "unheard_ms", 0.0)
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        await story_stage.until(server_messages.ReplyFinished, within_s=60)
    assert len(tts.opened_with) == 1
    assert played_words(story_stage) == expected_words(STORY)


async def test_interrupt_ends_the_retries(story_stage, tts):
    tts.faults.extend([TtsFault(UNAVAILABLE, at_word=4), *[TtsFault(UNAVAILABLE, at_word=-1)] * 500])
    async with story_stage:
        story_stage.command(client_messages.TextInput("a story"))
        await story_stage.until_played(4 * WORD_MS)
        story_stage.command(client_messages.Interrupt())
        finished = await story_stage.until(server_messages.ReplyFinished)
        attempts = len(tts.opened_with)
        await story_stage.silence(3000)
        assert len(tts.opened_with) == attempts
    assert finished.heard_text == "Once upon a time"
