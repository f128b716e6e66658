"""Over a speaking anchor, a cough does not end the reply, and words stop it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import ServerEvent, open_session
from service_kit.audio import MICROPHONE, to_pcm

pytestmark = pytest.mark.e2e


def cough() -> bytes:
    """A burst of noise of 180 ms with a hard onset and a decay."""
    count = MICROPHONE.rate_hz * 180 // 1000
    noise = np.random.default_rng(7).normal(0, 0.25, count) * np.exp(-np.arange(count) / (count / 3))
    return to_pcm(noise.astype(np.float32))


def all_pauses_are_over(events: Sequence[ServerEvent]) -> bool | None:
    names = [event.name for event in events]
    return names.count("playback_pause") == names.count("playback_resume") or None


async def test_a_cough_does_not_end_the_reply_and_words_stop_it(mesh, questions, topic_of) -> None:
    async with open_session(mesh.url) as talk:
        await talk.play_clip(load_clip(questions[0].path))
        turn_id = (await talk.wait_for("reply_audio", within_s=15)).message.turn_id
        first = talk.speaker.reply(turn_id)
        await asyncio.sleep(1.5)

        await talk.play_clip(cough())
        await asyncio.sleep(2.5)
        await talk.wait_until(all_pauses_are_over, 15, "playback_resume")
        names = [event.name for event in talk.events]
        assert "playback_stop" not in names
        assert "reply_finished" not in names
        played_ms = first.played_ms
        async with asyncio.timeout(15):
            while first.played_ms == played_ms:
                await asyncio.sleep(0.05)

        began_s = asyncio.get_running_loop().time()
        await talk.play_clip(load_clip(questions[1].path))
        finished = await talk.wait_for("reply_finished", within_s=15)
        stop = next(event for event in talk.events if event.name == "playback_stop")
        answer = await talk.wait_for("reply_audio", within_s=15)
    assert stop.message.turn_id == finished.message.turn_id == turn_id
    assert finished.message.interrupted
    assert first.text.startswith(finished.message.heard_text)
    assert 0 < len(finished.message.heard_text) < len(first.text)
    assert finished.message.heard_ms == pytest.approx(first.played_ms, abs=150)
    # Words stop the reply, not the first sound: the recogniser needs a word.
    assert stop.at_s - began_s < 5
    assert topic_of(talk.speaker.reply(answer.message.turn_id).text) == questions[1].topic
