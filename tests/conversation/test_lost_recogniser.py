"""Conversations while speech-to-text stops, works without results or sends nonsense: no words are lost."""

from __future__ import annotations

import asyncio
import math

import pytest
from orchestrator.conversation.messages import server as server_messages
from orchestrator.conversation.model.ports import FinalTranscript, PartialTranscript

QUESTION = "how is the weather in Leipzig"
APOLOGY = ("anchor", "Sorry, something broke.")
ANSWERED = [("user", QUESTION), ("anchor", "Fine.")]


@pytest.fixture(autouse=True)
def reply(stage):
    stage.anchor_will_say("Fine.")


def notices(stage) -> list[tuple[str, bool]]:
    return [(notice.code, notice.active) for notice in stage.client.of_type(server_messages.ServiceNotice)]


async def test_a_recogniser_that_stops_is_told_within_two_seconds(stage):
    async with stage:
        await stage.silence(1_000)
        stage.stt.is_stopped = True
        begun_ms = stage.now_ms
        await stage.user(QUESTION)
        await stage.until(server_messages.ServiceNotice)
        # Speech is sent to it 64 ms after its onset.
        assert stage.now_ms - begun_ms < 1_700
    assert notices(stage) == [("stt.silent", True)]


@pytest.mark.parametrize("stopped_ms", [1_000, 3_000, 5_000])
async def test_words_of_a_short_stop_are_answered_without_an_apology(stage, stopped_ms):
    async with stage:
        await stage.silence(1_000)
        stage.stt.is_stopped = True
        asyncio.get_running_loop().call_later(stopped_ms / 1000, setattr, stage.stt, "is_stopped", False)
        await stage.user(QUESTION)
        await stage.until(server_messages.ReplyFinished)
    assert stage.history == ANSWERED


async def test_words_of_a_long_stop_are_answered_after_the_apology(stage):
    async with stage:
        await stage.silence(1_000)
        await stage.user("how is the weather")
        stage.stt.is_stopped = True
        await stage.user("in Leipzig")
        await stage.until(server_messages.ReplyFinished)
        await stage.silence(20_000)
        stage.stt.is_stopped = False
        await stage.until(server_messages.ReplyFinished, 2)
    assert stage.history == [APOLOGY, *ANSWERED]
    assert notices(stage) == [("stt.silent", True), ("stt.silent", False)]


async def test_a_recogniser_that_stops_after_the_question_loses_nothing(stage):
    stage.stt.delay_ms = 400
    async with stage:
        await stage.silence(1_000)
        await stage.user(QUESTION)
        await stage.silence(200)
        stage.stt.is_stopped = True
        await stage.silence(3_000)
        stage.stt.is_stopped = False
        await stage.until(server_messages.ReplyFinished)
    assert stage.history == ANSWERED


async def test_a_recogniser_without_results_is_lost_until_it_has_one(stage):
    stage.stt.withholds_finals = True
    async with stage:
        await stage.silence(1_000)
        await stage.user(QUESTION)
        await stage.silence(9_000)
        assert notices(stage) == [("stt.late", True)]
        await stage.silence(20_000)
        assert notices(stage) == [("stt.late", True)]
        stage.stt.withholds_finals = False
        await stage.until(server_messages.ReplyFinished, 2, within_s=60)
    assert stage.history == [APOLOGY, *ANSWERED]
    assert notices(stage) == [("stt.late", True), ("stt.late", False)]


@pytest.mark.parametrize("delay_ms", [4_000, 20_000])
async def test_a_slow_recogniser_is_waited_for(stage, delay_ms):
    stage.stt.delay_ms = delay_ms
    async with stage:
        await stage.silence(1_000)
        await stage.user(QUESTION)
        await stage.until(server_messages.TurnCommitted, within_s=120)
        await stage.silence(3_000)
    assert stage.history[-2:] == ANSWERED


async def test_idle_microphones_owe_the_recogniser_nothing(stage):
    async with stage:
        await stage.silence(60_000)
        await stage.user(QUESTION)
        await stage.until(server_messages.ReplyFinished)
    assert notices(stage) == []
    assert len(stage.stt.opened_with) == 1


@pytest.mark.parametrize("segment_id", [-1, 0, 2, 7])
async def test_a_stray_final_does_not_disarm_the_deadline(stage, segment_id):
    stage.stt.withholds_finals = True
    async with stage:
        await stage.silence(1_000)
        await stage.user(QUESTION)
        await stage.silence(300)
        stage.stt.stream.send(FinalTranscript(segment_id, 1, "stray", 900))
        await stage.until(server_messages.ReplyFinished)
        await stage.silence(3_000)
        assert stage.history == [APOLOGY]
        assert notices(stage) == [("stt.late", True)]


async def test_nonsense_of_the_recogniser_ends_nothing_but_the_message(stage):
    async with stage:
        await stage.silence(1_000)
        for item in (
            FinalTranscript(99, 1, "stray", 500),
            PartialTranscript(99, "stray", 500),
            FinalTranscript(-1, -1, "stray", 500),
            PartialTranscript(1, "ho", 500, confidence=math.nan),
        ):
            stage.stt.stream.send(item)
        await stage.user(QUESTION)
        await stage.until(server_messages.ReplyFinished)
    assert stage.history == ANSWERED
    assert notices(stage) == []


async def test_words_with_a_nonsensical_confidence_are_answered(stage):
    stage.stt.detected = ("en", math.nan)
    async with stage:
        await stage.user(QUESTION)
        await stage.until(server_messages.ReplyFinished)
    assert stage.history == ANSWERED
    assert all(final.language_probability is None for final in stage.client.of_type(server_messages.FinalTranscript))


async def test_a_late_transcript_is_reported_before_the_apology(stage):
    stage.stt.withholds_finals = True
    async with stage:
        await stage.silence(1_000)
        await stage.user(QUESTION)
        await stage.silence(2_900)
        assert notices(stage) == [("stt.late", True)]
        assert stage.history == []
        stage.stt.withholds_finals = False
        await stage.until(server_messages.ReplyFinished, 2, within_s=60)
    assert notices(stage) == [("stt.late", True), ("stt.late", False)]
