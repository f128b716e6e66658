"""Conversations while VAD, STT, LLM or TTS fails."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from orchestrator.conversation.messages import server as server_messages
from service_kit.errors import AtCapacity, EngineFailed, PeerFailed, Unsupported


async def test_llm_failure_in_mid_reply_ends_with_an_apology(stage):
    stage.anchor_will_say("Once upon a time there was")
    stage.llm.failure = EngineFailed("llm.broke", "it broke")
    stage.llm.fails_after_words = 3
    async with stage:
        await stage.user("tell me a story")
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.heard_text == "Once upon a Sorry, something broke."
    assert stage.client.of_type(server_messages.TurnFailed)[0].code == "llm.broke"


async def test_silent_llm_times_out_with_an_apology(stage):
    stage.anchor_will_say("never")
    stage.llm.first_token_ms = 60_000
    async with stage:
        await stage.user("tell me a story")
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.heard_text == "Sorry, something broke."
    assert stage.client.of_type(server_messages.TurnFailed)[0].code == "llm.silent"


async def test_tts_failure_leaves_captions(stage):
    stage.anchor_will_say("It is sunny in Leipzig today.")
    stage.tts.failure = EngineFailed("tts.broke", "it broke")
    stage.tts.fails_at_word = 2
    async with stage:
        await stage.user("how is the weather")
        finished = await stage.until(server_messages.ReplyFinished)
    assert (
        "".join(message.text for message in stage.client.of_type(server_messages.ReplyText))
        == "It is sunny in Leipzig today."
    )
    assert finished.heard_text == "It is"
    assert stage.client.of_type(server_messages.Error)[0].code == "tts.broke"


async def test_energy_vad_detects_turns_while_vad_service_is_away(stage):
    stage.anchor_will_say("Fine.")
    stage.vad.failure = PeerFailed("vad.unavailable", "gone")
    async with stage:
        await stage.silence(1500)
        await stage.user("can you still hear me")
        await stage.until(server_messages.ReplyFinished)
        assert stage.client.of_type(server_messages.ServiceNotice)[0] == server_messages.ServiceNotice(
            "vad.unavailable", True, "gone"
        )
        stage.vad.failure = None
        await stage.silence(2000)
        notice = stage.client.of_type(server_messages.ServiceNotice)[-1]
        assert (notice.code, notice.active) == ("vad.unavailable", False)
    assert stage.history == [("user", "can you still hear me"), ("anchor", "Fine.")]


async def test_speech_during_an_stt_outage_is_transcribed_afterwards(stage):
    stage.anchor_will_say("Fine.")
    async with stage:
        await stage.silence(200)
        stage.stt.stream.fail(PeerFailed("stt.unavailable", "gone"))
        stage.stt.failure = PeerFailed("stt.unavailable", "gone")
        await stage.user("did you hear that")
        await stage.silence(1200)
        assert not stage.llm.prompts
        stage.stt.failure = None
        await stage.until(server_messages.ReplyFinished)
    assert stage.history == [("user", "did you hear that"), ("anchor", "Fine.")]


async def test_lasting_stt_outage_is_answered_with_an_apology(stage):
    async with stage:
        await stage.silence(200)
        stage.stt.stream.fail(PeerFailed("stt.unavailable", "gone"))
        stage.stt.failure = PeerFailed("stt.unavailable", "gone")
        await stage.user("did you hear that")
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.heard_text == "Sorry, something broke."


async def lose_stt(stage) -> None:
    await stage.silence(200)
    stage.stt.stream.fail(PeerFailed("stt.unavailable", "gone"))
    stage.stt.failure = PeerFailed("stt.unavailable", "gone")


async def test_words_of_a_long_stt_outage_are_answered_when_they_come(stage):
    stage.anchor_will_say("Fine.")
    async with stage:
        await lose_stt(stage)
        await stage.user("did you hear that")
        await stage.until(server_messages.ReplyFinished)
        await stage.silence(30_000)
        stage.stt.failure = None
        finished = await stage.until(server_messages.ReplyFinished, 2)
    assert (finished.turn_id, finished.heard_text) == (2, "Fine.")
    assert stage.history == [
        ("anchor", "Sorry, something broke."),
        ("user", "did you hear that"),
        ("anchor", "Fine."),
    ]


async def test_words_before_and_after_the_apology_are_one_turn(stage):
    stage.anchor_will_say("Fine.")
    async with stage:
        await lose_stt(stage)
        await stage.user("how is the weather")
        await stage.until(server_messages.ReplyFinished)
        await stage.user("in Leipzig")
        await stage.silence(1_500)
        stage.stt.failure = None
        await stage.until(server_messages.ReplyFinished, 2)
    assert stage.history[1:] == [("user", "how is the weather in Leipzig"), ("anchor", "Fine.")]
    assert [turn.text for turn in stage.client.of_type(server_messages.TurnCommitted)] == [
        "how is the weather in Leipzig"
    ]


async def test_words_that_come_during_the_apology_stop_it(stage):
    stage.anchor_will_say("Fine.")
    async with stage:
        await lose_stt(stage)
        await stage.user("did you hear that")
        await stage.until(server_messages.ReplyAudio)
        stage.stt.failure = None
        finished = await stage.until(server_messages.ReplyFinished, 2)
        apology = stage.client.of_type(server_messages.ReplyFinished)[0]
    assert (apology.turn_id, apology.interrupted) == (1, True)
    assert (finished.turn_id, finished.heard_text) == (2, "Fine.")


async def test_unsupported_stt_language_is_reported_once(stage):
    stage.stt.failure = Unsupported("stt.language_unsupported", "English only")
    async with stage:
        await stage.silence(5000)
    assert [message.code for message in stage.client.of_type(server_messages.Error)] == ["stt.language_unsupported"]


class RefusedStream:
    """A stream that is refused for lack of a slot, after opening."""

    async def push_audio(self, chunk) -> None:
        pass

    flush_segment = commit_segment = push_audio

    async def transcripts(self):
        await asyncio.sleep(0.05)
        raise AtCapacity("stt.at_capacity", "4 people are speaking")
        yield


class CrowdedStt:
    """STT without a slot until `crowded` is false."""

    def __init__(self, stt) -> None:
        self._stt = stt
        self.crowded = True
        self.opened = 0

    @asynccontextmanager
    async def open(self, language):
        self.opened += 1
        if self.crowded:
            yield RefusedStream()
            return
        async with self._stt.open(language) as stream:
            yield stream


def stt_notices(stage) -> list[tuple[str, bool]]:
    notices = stage.client.of_type(server_messages.ServiceNotice)
    return [(notice.code, notice.active) for notice in notices if notice.code.startswith("stt.")]


async def test_a_lack_of_slots_is_told_once_and_ends_once(stage):
    crowded = stage.stt = CrowdedStt(stage.stt)
    stage.anchor_will_say("Yes.")
    async with stage:
        await stage.silence(20_000)
        # Nobody spoke: no slot was needed, and nothing is told.
        assert (crowded.opened, stt_notices(stage)) == (1, [])
        await stage.user("hello out there")
        await stage.silence(3_000)
        assert stt_notices(stage) == [("stt.at_capacity", True)]
        crowded.crowded = False
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.heard_text == "Yes."
    assert stt_notices(stage) == [("stt.at_capacity", True), ("stt.at_capacity", False)]


async def test_a_slot_that_was_given_away_is_taken_again_unnoticed(stage):
    stage.anchor_will_say("Yes.")
    async with stage:
        await stage.silence(3_000)
        stage.stt.stream.fail(AtCapacity("stt.idle", "another microphone needed the slot"))
        await stage.silence(3_000)
        assert len(stage.stt.opened_with) == 1
        await stage.user("hello out there")
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.heard_text == "Yes."
    assert stage.history[0] == ("user", "hello out there")
    assert (len(stage.stt.opened_with), stt_notices(stage)) == (2, [])
