"""Spoken questions through the whole mesh: microphone in, speech out, with real processes."""

from __future__ import annotations

import asyncio

import pytest
from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.playback import ReceivedReply
from anchor_cli.client.session_client import SessionClient, open_session
from anchor_cli.client.turn import run_turn
from service_kit.audio import to_float

pytestmark = pytest.mark.e2e


async def test_a_spoken_question_is_answered_aloud_and_in_full(mesh, questions, topic_of) -> None:
    question = questions[0]
    async with open_session(mesh.url) as talk:
        turn = await run_turn(talk, load_clip(question.path))
    assert topic_of(turn.reply.text) == question.topic
    # Speech has between one and five words a second.
    words = len(turn.reply.text.split())
    assert words / 5 < turn.reply.received_ms / 1000 < words
    assert (to_float(bytes(turn.reply.pcm)) ** 2).mean() > 1e-5
    assert not turn.finished.interrupted
    assert not turn.finished.estimated
    assert turn.finished.heard_text.split() == turn.reply.text.split()
    assert turn.finished.heard_ms == pytest.approx(turn.reply.received_ms, abs=200)


async def test_the_waterfall_agrees_with_the_latency_at_the_client(mesh, questions) -> None:
    async with open_session(mesh.url) as talk:
        turn = await run_turn(talk, load_clip(questions[0].path), listen_s=0.5)
    waterfall = turn.waterfall
    assert waterfall is not None
    assert 0 < waterfall.speech_stopped_ms <= waterfall.turn_committed_ms <= waterfall.first_frame_sent_ms
    assert waterfall.first_token_ms <= waterfall.first_audio_ms <= waterfall.first_frame_sent_ms
    assert waterfall.first_frame_sent_ms == pytest.approx(turn.response_ms, abs=500)
    assert turn.response_ms < 10_000


async def reply_to(talk: SessionClient, question: str) -> ReceivedReply:
    """Send a text question; return the reply as received up to its first audio."""
    await talk.send_message("text_input", text=question)
    started = await talk.wait_for("reply_started", within_s=15)
    await talk.wait_for("reply_audio", "reply_finished", within_s=15)
    await talk.send_message("interrupt")
    await talk.wait_for("reply_finished", within_s=15)
    return talk.speaker.reply(started.message.turn_id)


async def test_a_new_passage_can_be_asked_for_at_once(mesh) -> None:
    passage = mesh.knowledge / "otter-parade.md"
    passage.write_text(
        "---\ntitle: the otter parade\nkind: news\nkeywords: otters, parade\nquestions:\n"
        "- When is the otter parade?\n---\n"
        "The otter parade sets out on Friday at five from the fish steps. Forty otters are expected.\n"
    )
    try:
        async with open_session(mesh.url) as talk:
            # The folder is scanned once a second.
            async with asyncio.timeout(30):
                while "fish steps" not in (reply := await reply_to(talk, "When is the otter parade?")).text:
                    await asyncio.sleep(0.3)
        assert reply.received_ms > 0
    finally:
        passage.unlink()


@pytest.mark.parametrize("name", ["en-goforward.wav", "en-cards-001.wav", "en-lamp.wav", "en-lj-0002.wav"])
async def test_a_person_with_an_unrelated_question_is_answered(mesh, recording_of, name: str) -> None:
    async with open_session(mesh.url) as talk:
        turn = await run_turn(talk, load_clip(recording_of(name)), listen_s=0.5)
    assert turn.reply.text.strip()
    assert turn.reply.received_ms > 0
