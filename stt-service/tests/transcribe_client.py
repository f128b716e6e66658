"""A test client of `SpeechToTextService.Transcribe`, and a gRPC server for one engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from anchor.stt.v1 import stt_pb2, stt_pb2_grpc
from service_kit.engines.info import engine_class
from service_kit.errors import AnchorError
from service_kit.rpc.channel import read_message, write_message
from stt_service.app import ENGINES
from stt_service.servicer import SERVICE_NAME, SpeechToTextServicer
from stt_service.settings import SttSettings

FRAME_BYTES = 1024
FRAME_MS = 32


class Microphone:
    """One `Transcribe` call; stamps audio with the audio clock."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self._clock_ms = 0

    async def send(self, **request: Any) -> None:
        await write_message(self.call, stt_pb2.TranscribeRequest(**request), "stt")

    async def configure(self, language: str = "en", sample_rate_hz: int = 16000, partials: bool = False) -> None:
        config = {"language": language, "sample_rate_hz": sample_rate_hz, "partial_transcripts": partials}
        await self.send(config=config)

    async def push_audio(self, pcm: bytes) -> None:
        for frame in (pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)):
            await self.send(audio={"start_ms": self._clock_ms, "pcm": frame})
            self._clock_ms += FRAME_MS

    async def flush(self, segment_id: int = 1) -> None:
        await self.send(flush={"segment_id": segment_id})

    async def commit(self, segment_id: int = 1) -> None:
        await self.send(commit={"segment_id": segment_id})

    async def event(self, within_s: float = 20) -> stt_pb2.TranscribeResponse | None:
        return await read_message(self.call, "stt", within_s)

    async def final(self, within_s: float = 20) -> stt_pb2.FinalTranscript:
        while event := await self.event(within_s):
            if event.HasField("final_transcript"):
                return event.final_transcript
        raise AssertionError("the call ended without a final transcript")

    async def failure(self) -> AnchorError:
        """Read until the call fails, and return its error. No final transcript may come before it."""

        async def read_all() -> None:
            while event := await self.event():
                assert not event.HasField("final_transcript")

        with pytest.raises(AnchorError) as failure:
            await read_all()
        return failure.value


OpenMicrophone = Callable[[], AbstractAsyncContextManager[Microphone]]


@asynccontextmanager
async def serve_engine(settings: SttSettings, transport: Any) -> AsyncGenerator[tuple[Any, OpenMicrophone]]:
    """Serve the engine of `settings` over `transport` (`serve_grpc` or `serve_multiplexed`).

    Yields the engine, and a function that opens a microphone.
    """
    engine = engine_class(ENGINES, settings.engine)(settings)
    servicer = SpeechToTextServicer(engine, settings.least_streams, settings.max_segment_s * 1000)

    @asynccontextmanager
    async def microphone() -> AsyncGenerator[Microphone]:
        call = stt_pb2_grpc.SpeechToTextServiceStub(channel).Transcribe()
        try:
            yield Microphone(call)
        finally:
            call.cancel()

    async with engine.lifespan(), transport(SERVICE_NAME, servicer.add_to) as channel:
        yield engine, microphone
