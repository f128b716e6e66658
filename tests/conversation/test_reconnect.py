"""Dropped connections and reconnects: replies, transcripts and preferences survive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from orchestrator.conversation.connection.connection import Connection
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from orchestrator.conversation.messages.server import ReplySource
from orchestrator.conversation.model.ports import Prompt, ReplyPiece
from orchestrator.conversation.session.client_connection import ClientConnection
from scripted_services import speech_at
from service_kit.errors import PeerFailed

STORY = "Once upon a time there was a king who had three daughters and no end of trouble with them all. " * 2
WORDS = len(STORY.split())
STORY_MS = 200 * WORDS


async def begin_story(stage) -> None:
    stage.tts.samples_at = speech_at
    stage.anchor_will_say(STORY.strip())
    stage.command(client_messages.TextInput("tell me a story"))


async def test_reply_continues_after_the_received_audio(stage):
    async with stage:
        await begin_story(stage)
        await stage.until_played(3_000)
        await stage.disconnect()
        await asyncio.sleep(5)
        stage.reconnect()
        finished = await stage.until(server_messages.ReplyFinished)
    assert bytes(stage.client.replies[1]) == speech_at(0, STORY_MS)
    assert stage.client.repeated_bytes == 0
    assert (finished.heard_ms, finished.interrupted) == (STORY_MS, False)
    assert [start.resumed for start in stage.client.of_type(server_messages.SessionStarted)] == [False, True]
    assert len({start.session_id for start in stage.client.of_type(server_messages.SessionStarted)}) == 1


async def test_frames_lost_with_the_connection_are_resent(stage):
    async with stage:
        await begin_story(stage)
        await stage.until_played(3_000)
        stage.client.lose_messages()
        await asyncio.sleep(0.3)
        await stage.disconnect()
        stage.reconnect()
        await stage.until(server_messages.ReplyFinished)
    assert bytes(stage.client.replies[1]) == speech_at(0, STORY_MS)
    assert stage.client.repeated_bytes == 0


async def test_reloaded_page_continues_at_the_heard_position(stage):
    async with stage:
        await begin_story(stage)
        await stage.until_played(3_000)
        await stage.disconnect()
        stage.reconnect(reloaded=True)
        finished = await stage.until(server_messages.ReplyFinished)
    start = stage.client.of_type(server_messages.ReplyAudio)[0].offset_ms
    assert 2_900 <= start <= 3_100
    assert bytes(stage.client.replies[1][start * 48 :]) == speech_at(start, STORY_MS - start)
    assert finished.heard_ms == STORY_MS
    kinds = [type(message) for _, message in stage.client.messages[:7]]
    assert kinds[:3] == [server_messages.SessionStarted, server_messages.Choices, server_messages.SessionUpdated]
    assert kinds[3:] == [
        server_messages.TurnCommitted,
        server_messages.TurnSpoken,
        server_messages.ReplyStarted,
        server_messages.ReplyText,
    ]
    assert stage.client.of_type(server_messages.ReplyText)[0].text == STORY.strip()
    marks = stage.client.of_type(server_messages.SpeechMark)
    assert [mark.offset_ms for mark in marks] == list(range(0, STORY_MS, 200))


async def test_sources_precede_the_text_and_are_replayed(stage, monkeypatch):
    sources = tuple(ReplySource(f"topic {number}", f"{number}.md", "Once.", "en") for number in range(6))

    scripted = stage.llm.reply

    async def sourced(prompt: Prompt) -> AsyncGenerator[str]:
        first = True
        async for piece in scripted(prompt):
            yield ReplyPiece(piece, sources=sources if first else ())
            first = False

    monkeypatch.setattr(stage.llm, "reply", sourced)
    async with stage:
        await begin_story(stage)
        await stage.until_played(3_000)
        kinds = [type(message) for _, message in stage.client.messages]
        place = kinds.index(server_messages.ReplySources)
        assert kinds[place - 1 : place + 2] == [
            server_messages.ReplyStarted,
            server_messages.ReplySources,
            server_messages.ReplyText,
        ]
        await stage.disconnect()
        stage.reconnect(reloaded=True)
        await stage.until(server_messages.ReplyFinished)
    # Four at most; to the client that came back, once more.
    assert stage.client.of_type(server_messages.ReplySources) == [server_messages.ReplySources(1, sources[:4])]


async def test_session_ends_when_the_client_does_not_reconnect_in_time(stage):
    stage.resume_s = 10.0
    async with stage:
        await begin_story(stage)
        await stage.until_played(2_000)
        await stage.disconnect()
        before_ms = stage.now_ms
        await stage.running.task
        assert 10_000 <= stage.now_ms - before_ms < 10_100
        assert stage.tts.open_streams == 0
    assert stage.history[0] == ("user", "tell me a story")


async def test_synthesis_is_bounded_while_disconnected(stage):
    async with stage:
        stage.anchor_will_say("word " * 2_000)
        stage.command(client_messages.TextInput("talk on and on"))
        await stage.until_played(1_000)
        await stage.disconnect()
        await asyncio.sleep(1)
        reply = stage.session._active_reply._reply
        synthesised_ms = reply.playout.synthesised_ms
        await asyncio.sleep(25)
        assert reply.playout.synthesised_ms == synthesised_ms <= reply.playout.sent_ms + 20_040
        assert reply.playout.heard_ms <= 1_100


async def test_reply_generated_while_disconnected_plays_completely(stage):
    stage.llm.first_token_ms = 2_000
    async with stage:
        await begin_story(stage)
        await stage.until(server_messages.ReplyStarted)
        await stage.disconnect()
        await asyncio.sleep(4)
        stage.reconnect(reloaded=True)
        await stage.until(server_messages.ReplyFinished)
    assert bytes(stage.client.replies[1]) == speech_at(0, STORY_MS)
    assert stage.client.of_type(server_messages.ReplyAudio)[0].offset_ms == 0


async def test_user_finishes_after_disconnect_in_mid_speech(stage):
    async with stage:
        stage.anchor_will_say("A fine day.")
        await stage.user("how is the")
        stage.hold_audio()
        stage.user_speech.words.append("weather")
        await asyncio.sleep(0.5)
        await stage.disconnect()
        stage.reconnect()
        await stage.silence(2_000)
        await stage.until(server_messages.ReplyFinished)
    committed = stage.client.of_type(server_messages.TurnCommitted)
    assert {message.text for message in committed} == {"how is the weather"}


async def test_disconnect_during_speculation_gives_one_answer(stage):
    async with stage:
        stage.anchor_will_say("A fine day.")
        await stage.user("how is the weather today")
        await asyncio.sleep(0.25)
        assert not stage.client.of_type(server_messages.TurnCommitted)
        await stage.disconnect()
        await asyncio.sleep(1)
        stage.reconnect()
        finished = await stage.until(server_messages.ReplyFinished)
        await stage.silence(1_000)
    assert finished.heard_text == "A fine day."
    assert len(stage.client.of_type(server_messages.ReplyFinished)) == 1


async def test_paused_reply_stays_paused_after_a_reconnect(stage):
    async with stage:
        await begin_story(stage)
        await stage.until_played(1_000)
        stage.command(client_messages.Pause())
        await stage.until(server_messages.PlaybackPause)
        await stage.disconnect()
        await asyncio.sleep(2)
        stage.reconnect(reloaded=True)
        await stage.until(server_messages.PlaybackPause)
        await asyncio.sleep(2)
        assert not stage.client.pcm
        stage.command(client_messages.Resume())
        await stage.until(server_messages.ReplyFinished)
    start = stage.client.of_type(server_messages.ReplyAudio)[0].offset_ms
    assert bytes(stage.client.replies[1][start * 48 :]) == speech_at(start, STORY_MS - start)


async def test_disconnect_during_a_barge_in_candidate_does_not_interrupt(stage):
    async with stage:
        await begin_story(stage)
        await stage.until_played(1_000)
        await stage.noise(200)
        await stage.until(server_messages.PlaybackPause)
        await stage.disconnect()
        await asyncio.sleep(3)
        stage.reconnect()
        finished = await stage.until(server_messages.ReplyFinished)
    assert not finished.interrupted
    assert bytes(stage.client.replies[1]) == speech_at(0, STORY_MS)


async def test_reply_survives_repeated_disconnects(stage):
    async with stage:
        await begin_story(stage)
        for _ in range(3):
            await stage.until_played(round(stage.client.played.get(1, 0)) + 700)
            await stage.disconnect()
            await asyncio.sleep(0.01)
            stage.reconnect()
        await stage.until(server_messages.ReplyFinished)
    assert bytes(stage.client.replies[1]) == speech_at(0, STORY_MS)
    assert stage.client.repeated_bytes == 0


async def test_takeover_that_drops_at_once_hears_nothing(stage):
    async with stage:
        stage.anchor_will_say("A fine day with a little wind from the sea.")
        stage.command(client_messages.TextInput("how is the weather"))
        await stage.until_played(400)
        await ClientConnection(stage.running, Connection(stage.client), resumable=True).disconnect()
        await stage.connection_task
        await asyncio.sleep(20)
        stage.reconnect(reloaded=True)
        assert (await stage.until(server_messages.ReplyAudio, within_s=1)).offset_ms <= 600
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.heard_ms == 2_000


async def test_client_without_reports_gets_lost_audio_resent(stage):
    stage.reports_playback = False
    async with stage:
        await begin_story(stage)
        await stage.until_played(1_000)
        stage.client.lose_messages()
        await asyncio.sleep(0.2)
        await stage.disconnect()
        await asyncio.sleep(1)
        stage.reconnect()
        await stage.until(server_messages.ReplyFinished)
    assert bytes(stage.client.replies[1]) == speech_at(0, STORY_MS)


async def test_lost_reply_finished_is_replayed(stage):
    async with stage:
        stage.anchor_will_say("A fine day.")
        stage.command(client_messages.TextInput("how is the weather"))
        await stage.until(server_messages.ReplyAudioEnded)
        stage.client.unreachable = True
        await asyncio.sleep(1)
        await stage.disconnect()
        assert not stage.client.of_type(server_messages.ReplyFinished)
        stage.reconnect()
        assert (await stage.until(server_messages.ReplyFinished)).heard_text == "A fine day."


async def test_preferences_survive_a_reconnect(stage):
    async with stage:
        stage.command(client_messages.SetStyle(warmth=1.0))
        stage.command(client_messages.SetPatience(2.0))
        await stage.until(server_messages.SessionUpdated, 2)
        await begin_story(stage)
        await stage.until(server_messages.ReplyAudio)
        await stage.disconnect()
        stage.reconnect(reloaded=True)
        updated = await stage.until(server_messages.SessionUpdated)
    assert (updated.patience, updated.style) == (2.0, server_messages.Style(warmth=1.0))


async def test_takeover_gets_the_reply_and_the_old_client_is_notified(stage):
    async with stage:
        await begin_story(stage)
        await stage.until_played(2_000)
        first, first_connection = stage.client, stage.connection_task
        stage.reconnect(reloaded=True)
        await first_connection
        await stage.until(server_messages.ReplyFinished)
    assert first.of_type(server_messages.SessionEnded) == [
        server_messages.SessionEnded("session.taken_over", "the conversation goes on elsewhere")
    ]
    assert not stage.client.of_type(server_messages.SessionEnded)[:-1]
    start = stage.client.of_type(server_messages.ReplyAudio)[0].offset_ms
    assert bytes(stage.client.replies[1][start * 48 :]) == speech_at(start, STORY_MS - start)


@pytest.mark.parametrize("offset_ms", [0, 1_000, 4_000_000_000])
async def test_false_received_claims_are_clamped(stage, offset_ms):
    async with stage:
        await begin_story(stage)
        await stage.until_played(3_000)
        await stage.disconnect()
        stage.reconnect(received=client_messages.ReplyReceived(1, offset_ms))
        start = await stage.until(server_messages.ReplyAudio, 2)
        await asyncio.sleep(0.1)
    assert 2_900 <= start.offset_ms <= 5_100


async def test_an_impairment_is_reported_again_after_a_reconnect(stage):
    stage.vad.failure = PeerFailed("vad.unavailable", "gone")
    async with stage:
        await begin_story(stage)
        lost = server_messages.ServiceNotice("vad.unavailable", active=True, message="gone")
        await stage.until(server_messages.ServiceNotice)
        await stage.disconnect()
        await asyncio.sleep(1)
        stage.reconnect(reloaded=True)
        await stage.until(server_messages.SessionStarted)
        await asyncio.sleep(0.1)
        assert stage.client.of_type(server_messages.ServiceNotice) == [lost]
