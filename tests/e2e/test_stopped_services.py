"""A service stops without exiting, before or during a question: the question is answered, and the loss is told."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest
from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import ServerEvent, SessionClient, open_session

pytestmark = pytest.mark.e2e

STOPPED_S = 10.0


@asynccontextmanager
async def stopped(pid: int) -> AsyncGenerator[None]:
    """Stop a process for `STOPPED_S`, or until the end of the context."""
    os.kill(pid, signal.SIGSTOP)
    resuming = asyncio.get_running_loop().call_later(STOPPED_S, os.kill, pid, signal.SIGCONT)
    try:
        yield
    finally:
        resuming.cancel()
        os.kill(pid, signal.SIGCONT)


async def reply_about(talk: SessionClient, topic: str, topic_of, within_s: float) -> None:
    """Wait for a reply from the passage about `topic`."""

    def find(events: Sequence[ServerEvent]) -> bool | None:
        begun = [event.message.turn_id for event in events if event.name == "reply_audio"]
        return any(topic_of(talk.speaker.reply(turn_id).text) == topic for turn_id in begun) or None

    await talk.wait_until(find, within_s, f"reply about {topic}")


@pytest.mark.parametrize("phase", ["idle", "speaking"])
@pytest.mark.parametrize("module", ["vad_service", "stt_service"])
async def test_a_question_survives_a_stopped_service(mesh, questions, topic_of, module: str, phase: str) -> None:
    question = questions[1]
    async with open_session(mesh.url) as talk:
        await asyncio.sleep(2)
        clip = load_clip(question.path)
        playing = asyncio.create_task(talk.play_clip(clip)) if phase == "speaking" else None
        if playing is not None:
            await talk.wait_for("speech_started", within_s=5)
        begun_s = time.monotonic()
        async with stopped(mesh.process_of(module)):
            if playing is None:
                await talk.play_clip(clip)
            else:
                await playing
            notice = await talk.wait_for("service_notice", within_s=5)
            assert notice.message.active
            assert notice.message.code.startswith(module.removesuffix("_service"))
            assert time.monotonic() - begun_s < 5
            await reply_about(talk, question.topic, topic_of, within_s=60)
        await talk.wait_for("service_notice", within_s=15)
