"""Conversations while turn detection stops, fails, comes back or sends nonsense: no speech is missed or cut."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager

import pytest
from orchestrator.conversation.messages import server as server_messages
from orchestrator.conversation.model.ports import AudioAnalysed, SpeechStarted, SpeechStopped, TurnEndPredicted
from service_kit.errors import PeerFailed

QUESTION = "can you still follow what I am saying"
GONE = PeerFailed("vad.unavailable", "gone")


@pytest.fixture(autouse=True)
def reply(stage):
    stage.anchor_will_say("Yes.")


def notices(stage) -> list[tuple[str, bool]]:
    return [(notice.code, notice.active) for notice in stage.client.of_type(server_messages.ServiceNotice)]


def edges(stage) -> list[str]:
    kinds = (server_messages.SpeechStarted, server_messages.SpeechStopped)
    return [type(message).__name__ for _, message in stage.client.messages if isinstance(message, kinds)]


def assert_one_utterance(stage) -> None:
    assert edges(stage) == ["SpeechStarted", "SpeechStopped"]
    assert stage.history == [("user", QUESTION), ("anchor", "Yes.")]


@pytest.mark.parametrize("stops_before_ms", [0, 300, 900, 1_400, 5_000])
async def test_a_question_asked_after_turn_detection_stops_is_answered(stage, stops_before_ms):
    async with stage:
        await stage.silence(3_000)
        stage.vad.is_stopped = True
        await stage.silence(stops_before_ms)
        await stage.user(QUESTION)
        await stage.until(server_messages.ReplyFinished, within_s=6)
    assert_one_utterance(stage)
    assert notices(stage) == [("vad.silent", True)]


async def test_a_short_word_before_the_loss_is_noticed_is_answered(stage):
    async with stage:
        await stage.silence(3_000)
        stage.vad.is_stopped = True
        await stage.silence(600)
        await stage.user("hello")
        await stage.until(server_messages.ReplyFinished, within_s=4)
    assert stage.history == [("user", "hello"), ("anchor", "Yes.")]


@pytest.mark.parametrize("spoken_words", [1, 3, 6])
async def test_an_utterance_in_which_turn_detection_stops_is_not_cut(stage, spoken_words):
    words = QUESTION.split()
    async with stage:
        await stage.silence(1_000)
        await stage.user(" ".join(words[:spoken_words]))
        stage.vad.is_stopped = True
        await stage.user(" ".join(words[spoken_words:]))
        await stage.until(server_messages.ReplyFinished, within_s=6)
    assert_one_utterance(stage)


async def test_turn_detection_lost_and_back_in_an_utterance_cuts_nothing(stage):
    words = QUESTION.split()
    async with stage:
        await stage.silence(1_000)
        await stage.user(" ".join(words[:1]))
        stage.vad.stream.send(GONE)
        await stage.user(" ".join(words[1:]))
        await stage.until(server_messages.ReplyFinished, within_s=6)
    assert_one_utterance(stage)
    assert notices(stage) == [("vad.unavailable", True), ("vad.unavailable", False)]


async def test_turn_detection_that_returns_in_an_utterance_cuts_nothing(stage):
    stage.vad.failure = GONE
    words = QUESTION.split()
    async with stage:
        await stage.silence(900)
        await stage.user(" ".join(words[:2]))
        stage.vad.failure = None
        await stage.user(" ".join(words[2:]))
        await stage.until(server_messages.ReplyFinished, within_s=6)
        assert notices(stage)[-1] == ("vad.unavailable", False)
    assert_one_utterance(stage)


async def test_the_end_of_an_utterance_is_found_while_detectors_change(stage):
    async with stage:
        await stage.silence(1_000)
        await stage.user(QUESTION)
        # The end of speech was not detected yet.
        stage.vad.stream.send(GONE)
        await stage.until(server_messages.ReplyFinished, within_s=6)
    assert_one_utterance(stage)


async def test_a_quiet_loss_is_told_in_time_and_so_is_the_return(stage):
    async with stage:
        await stage.silence(3_000)
        stage.vad.is_stopped = True
        await stage.silence(1_800)
        assert notices(stage) == [("vad.silent", True)]
        stage.vad.is_stopped = False
        await stage.silence(3_000)
        assert notices(stage) == [("vad.silent", True), ("vad.silent", False)]
        await stage.user(QUESTION)
        await stage.until(server_messages.ReplyFinished)
    assert_one_utterance(stage)


async def test_turn_detection_that_was_never_there_is_replaced(stage):
    stage.vad.is_stopped = True
    async with stage:
        await stage.user(QUESTION)
        await stage.until(server_messages.ReplyFinished, within_s=6)
    assert_one_utterance(stage)


async def test_a_microphone_that_stops_is_no_loss_of_turn_detection(stage):
    async with stage:
        await stage.silence(3_300)
        await stage.mute()
        await stage.silence(10_000)
        await stage.unmute()
        await stage.user(QUESTION)
        await stage.until(server_messages.ReplyFinished)
    assert_one_utterance(stage)
    assert notices(stage) == []


class EndingStream:
    """A stream that takes audio and ends at once."""

    async def push_audio(self, chunk) -> None:
        pass

    async def push_transcript(self, text, end_ms, language) -> None:
        pass

    async def events(self):
        return
        yield


class EndingVad:
    @asynccontextmanager
    async def open(self, language):
        yield EndingStream()


async def test_streams_that_end_at_once_are_no_return(stage):
    stage.vad = EndingVad()
    async with stage:
        await stage.silence(10_000)
        await stage.user(QUESTION)
        await stage.until(server_messages.ReplyFinished)
    assert notices(stage) == [("vad.ended", True)]
    assert_one_utterance(stage)


async def test_nonsense_of_turn_detection_ends_nothing_but_the_message(stage):
    async with stage:
        await stage.silence(1_000)
        for event in (
            TurnEndPredicted(0, math.nan, "broken"),
            TurnEndPredicted(0, math.inf, "broken"),
            SpeechStopped(900),
            SpeechStarted(4_000_000_000, 4_000_000_000),
            AudioAnalysed(4_000_000_000),
        ):
            stage.vad.stream.send(event)
        await stage.user(QUESTION)
        while "SpeechStopped" not in edges(stage):
            await stage.silence(20)
        stopped = stage.client.of_type(server_messages.SpeechStopped)[0]
        for probability in (math.nan, -1.0, 7.0):
            stage.vad.stream.send(TurnEndPredicted(stopped.at_ms, probability, "broken"))
        stage.vad.stream.send(SpeechStopped(stopped.at_ms))
        await stage.until(server_messages.ReplyFinished)
    assert_one_utterance(stage)
    assert notices(stage) == []
