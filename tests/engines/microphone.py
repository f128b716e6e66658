"""stt-service as its callers see it: over real gRPC, with a microphone that keeps the audio clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import numpy as np
from anchor.stt.v1 import stt_pb2, stt_pb2_grpc
from service_kit.engines.info import engine_class
from service_kit.rpc.channel import read_message, write_message
from service_kit.testing.plugin import serve_multiplexed
from stt_service.app import ENGINES
from stt_service.servicer import SERVICE_NAME, SpeechToTextServicer
from stt_service.settings import SttSettings

CHUNK_MS = 100
WITHIN_S = 30


class Microphone:
    """A client of one `Transcribe` call."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self._clock_ms = 0

    async def send(self, **request: Any) -> None:
        await write_message(self.call, stt_pb2.TranscribeRequest(**request), "stt")

    async def configure(self, language: str = "", partials: bool = False) -> None:
        config = {"language": language, "sample_rate_hz": 16_000, "partial_transcripts": partials}
        await self.send(config=config)

    async def speak(self, pcm: bytes, pause_s: float = 0) -> None:
        for at in range(0, len(pcm), 32 * CHUNK_MS):
            await self.send(audio={"start_ms": self._clock_ms, "pcm": pcm[at : at + 32 * CHUNK_MS]})
            self._clock_ms += CHUNK_MS
            await asyncio.sleep(pause_s)

    async def event(self) -> stt_pb2.TranscribeResponse:
        event = await read_message(self.call, "stt", WITHIN_S)
        assert event is not None
        return event

    async def final(self) -> stt_pb2.FinalTranscript:
        while True:
            event = await self.event()
            if event.HasField("final_transcript"):
                return event.final_transcript


OpenMicrophone = Callable[[], AbstractAsyncContextManager[Microphone]]


@asynccontextmanager
async def hearing(settings: SttSettings) -> AsyncGenerator[OpenMicrophone]:
    """The service with the engine of `settings`, ready; yields what opens a microphone."""
    engine = engine_class(ENGINES, settings.engine)(settings)
    servicer = SpeechToTextServicer(engine, settings.least_streams, settings.max_segment_s * 1000)
    async with engine.lifespan(), serve_multiplexed(SERVICE_NAME, servicer.add_to) as channel:

        @asynccontextmanager
        async def microphone() -> AsyncGenerator[Microphone]:
            call = stt_pb2_grpc.SpeechToTextServiceStub(channel).Transcribe()
            try:
                yield Microphone(call)
            finally:
                call.cancel()

        yield microphone


def speech(seconds: float) -> bytes:
    """Sound that is as loud and as broken as speech, 16 kHz mono PCM16."""
    at = np.arange(int(16_000 * seconds)) / 16_000
    tone = np.sin(2 * np.pi * 180 * at) + 0.4 * np.sin(2 * np.pi * 1300 * at)
    return (8000 * tone * (np.sin(2 * np.pi * 3 * at) > -0.5)).astype("<i2").tobytes()
