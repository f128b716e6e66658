"""Speaking over the anchor stops it; a cough does not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import ServerEvent, SessionClient, open_session
from service_kit.audio import MICROPHONE, to_pcm

pytestmark = pytest.mark.e2e


async def sounding_reply(talk: SessionClient, clip: bytes, for_s: float) -> int:
    """Ask, and listen to the reply for `for_s`; its turn."""
    await talk.play_clip(clip)
    placed = await talk.wait_for("reply_audio", within_s=15)
    await asyncio.sleep(for_s)
    return placed.message.turn_id


def cough() -> bytes:
    """A burst of noise of 180 ms that begins hard and dies away."""
    count = MICROPHONE.rate_hz * 180 // 1000
    noise = np.random.default_rng(7).normal(0, 0.25, count) * np.exp(-np.arange(count) / (count / 3))
    return to_pcm(noise.astype(np.float32))


def goes_on(events: Sequence[ServerEvent]) -> bool | None:
    """Whether every pause of the reply is over."""
    names = [event.name for event in events]
    return names.count("playback_pause") == names.count("playback_resume") or None


async def test_speaking_over_the_reply_stops_it_and_is_answered(mesh, questions, topic_of) -> None:
    async with open_session(mesh.url) as talk:
        turn_id = await sounding_reply(talk, load_clip(questions[0].path), for_s=2.0)
        began_s = asyncio.get_running_loop().time()
        await talk.play_clip(load_clip(questions[1].path))
        finished = await talk.wait_for("reply_finished", within_s=15)
        stop = next(event for event in talk.events if event.name == "playback_stop")
        answer = await talk.wait_for("reply_audio", within_s=15)
    first = talk.speaker.reply(turn_id)
    assert stop.message.turn_id == finished.message.turn_id == turn_id
    assert finished.message.interrupted
    assert first.text.startswith(finished.message.heard_text)
    assert 0 < len(finished.message.heard_text) < len(first.text)
    assert finished.message.heard_ms == pytest.approx(first.played_ms, abs=150)
    # Words, not the first sound, stop it: that takes the recogniser a word.
    assert stop.at_s - began_s < 5
    assert topic_of(talk.speaker.reply(answer.message.turn_id).text) == questions[1].topic


async def test_a_cough_does_not_end_the_reply(mesh, questions) -> None:
    async with open_session(mesh.url) as talk:
        turn_id = await sounding_reply(talk, load_clip(questions[0].path), for_s=1.5)
        await talk.play_clip(cough())
        await asyncio.sleep(2.5)
        await talk.wait_until(goes_on, 15, "playback_resume")
        names = [event.name for event in talk.events]
        assert "playback_stop" not in names
        assert "reply_finished" not in names
        first = talk.speaker.reply(turn_id)
        played_ms = first.played_ms
        async with asyncio.timeout(15):
            while first.played_ms == played_ms:
                await asyncio.sleep(0.05)
