"""The silence filler: silence for a stalled microphone and for a lost connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from orchestrator.conversation.input.silence_filler import SilenceFiller
from service_kit.audio import MICROPHONE
from service_kit.tasks import stop_task

pytestmark = pytest.mark.virtual_clock


class Microphone:
    """The position of a microphone in ms, and the lengths of the silences pushed to it."""

    def __init__(self, user_speaking: bool) -> None:
        self.user_speaking = user_speaking
        self.position_ms = 0
        self.silences_ms: list[float] = []
        self.filler = SilenceFiller()

    def push_audio(self, pcm: bytes) -> None:
        assert not any(pcm)
        self.silences_ms.append(MICROPHONE.ms_of(len(pcm)))
        self.position_ms += round(MICROPHONE.ms_of(len(pcm)))


@asynccontextmanager
async def running(*, user_speaking: bool) -> AsyncGenerator[Microphone]:
    microphone = Microphone(user_speaking)
    task = asyncio.create_task(
        microphone.filler.run(microphone.push_audio, lambda: microphone.position_ms, lambda: microphone.user_speaking)
    )
    yield microphone
    await stop_task(task)


async def test_microphone_that_stalls_in_speech_gets_a_second_of_silence():
    async with running(user_speaking=True) as microphone:
        await asyncio.sleep(0.59)
        assert microphone.silences_ms == []
        await asyncio.sleep(0.02)
        assert microphone.silences_ms == [1_000]


async def test_microphone_that_sends_gets_no_silence():
    async with running(user_speaking=True) as microphone:
        for _ in range(20):
            microphone.position_ms += 100
            await asyncio.sleep(0.1)
        assert microphone.silences_ms == []


async def test_microphone_that_stalls_without_speech_gets_no_silence():
    async with running(user_speaking=False) as microphone:
        await asyncio.sleep(5)
        assert microphone.silences_ms == []


@pytest.mark.parametrize("user_speaking", [True, False])
async def test_disconnected_microphone_gets_silence_in_real_time(user_speaking):
    async with running(user_speaking=user_speaking) as microphone:
        microphone.filler.disconnected.set()
        await asyncio.sleep(1.05)
        assert microphone.silences_ms == [100] * 11
        microphone.filler.disconnected.clear()
        microphone.user_speaking = False
        await asyncio.sleep(5)
        assert microphone.silences_ms == [100] * 11
