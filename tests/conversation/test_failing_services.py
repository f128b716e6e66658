"""Conversations while VAD, STT, LLM or TTS fails."""

from __future__ import annotations

from orchestrator.conversation.messages import server as server_messages
from service_kit.errors import EngineFailed, PeerFailed, Unsupported


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
    assert finished.heard_text == "It is sunny in Leipzig today."
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


async def test_unsupported_stt_language_is_reported_once(stage):
    stage.stt.failure = Unsupported("stt.language_unsupported", "English only")
    async with stage:
        await stage.silence(5000)
    assert [message.code for message in stage.client.of_type(server_messages.Error)] == ["stt.language_unsupported"]
