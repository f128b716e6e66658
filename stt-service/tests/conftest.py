"""A microphone at a real server, with either engine behind it."""

from __future__ import annotations

import wave
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from anchor.stt.v1 import stt_pb2, stt_pb2_grpc
from service_kit.channel import read, write
from service_kit.engine import engine_class
from stt_service.app import ENGINES
from stt_service.servicer import NAME, SpeechToTextServicer
from stt_service.settings import SttSettings

pytest_plugins = ["service_kit.testing"]

FERRY = """---
title: the ferry
keywords: boat, crossing
questions:
- When does the ferry leave?
---
The ferry to the island leaves at nine.
"""
FOOTBALL = """---
title: the football match
questions:
- Who won the football match?
---
The harbor team won the football match on Saturday.
"""
FRAME_BYTES = 1024
FRAME_MS = 32


class Microphone:
    """A client of one `Transcribe` call, which keeps the audio clock."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self._clock_ms = 0

    async def send(self, **request: Any) -> None:
        await write(self.call, stt_pb2.TranscribeRequest(**request), "stt")

    async def configure(self, language: str = "en", sample_rate_hz: int = 16000, partials: bool = False) -> None:
        config = {"language": language, "sample_rate_hz": sample_rate_hz, "partial_transcripts": partials}
        await self.send(config=config)

    async def speak(self, pcm: bytes) -> None:
        for frame in (pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)):
            await self.send(audio={"start_ms": self._clock_ms, "pcm": frame})
            self._clock_ms += FRAME_MS

    async def flush(self, segment_id: int = 1) -> None:
        await self.send(flush={"segment_id": segment_id})

    async def commit(self, segment_id: int = 1) -> None:
        await self.send(commit={"segment_id": segment_id})

    async def event(self, within_s: float = 20) -> stt_pb2.TranscribeResponse | None:
        return await read(self.call, "stt", within_s)

    async def final(self, within_s: float = 20) -> stt_pb2.FinalTranscript:
        while event := await self.event(within_s):
            if event.HasField("final_transcript"):
                return event.final_transcript
        raise AssertionError("the call ended without a final transcript")


Open = Callable[[], AbstractAsyncContextManager[Microphone]]


def pcm_of(path: Path) -> bytes:
    with wave.open(str(path)) as clip:
        return clip.readframes(clip.getnframes())


@pytest.fixture(scope="session")
def ferry() -> bytes:
    """ "What is the latest on the ferry", 2 s."""
    return pcm_of(Path(__file__).parent / "audio" / "ferry.wav")


@pytest.fixture(scope="session")
def football() -> bytes:
    """ "Who won the football match", 2 s."""
    return pcm_of(Path(__file__).parent / "audio" / "football.wav")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small newsroom; what is built of it is kept for all tests."""
    folder = tmp_path_factory.mktemp("newsroom")
    (folder / "knowledge").mkdir()
    (folder / "knowledge" / "ferry.md").write_text(FERRY)
    (folder / "knowledge" / "football.md").write_text(FOOTBALL)
    return folder


@pytest.fixture
def settings(folder: Path) -> SttSettings:
    return SttSettings(
        engine="pocketsphinx",
        knowledge_dir=folder / "knowledge",
        models_dir=folder / "models",
        max_streams=2,
        # A busy machine is not what is tested.
        second_opinion_ms=10_000,
    )


@pytest.fixture
def serve() -> Callable[[SttSettings], AbstractAsyncContextManager[tuple[Any, Open]]]:
    """Serve an engine: yields it, and what opens a microphone at it."""
    # A plugin module must not be imported before pytest has registered it.
    from service_kit.testing import serving

    @asynccontextmanager
    async def served(settings: SttSettings) -> AsyncGenerator[tuple[Any, Open]]:
        engine = engine_class(ENGINES, settings.engine)(settings)
        servicer = SpeechToTextServicer(engine, settings.max_streams, settings.max_segment_s * 1000)

        @asynccontextmanager
        async def microphone() -> AsyncGenerator[Microphone]:
            call = stt_pb2_grpc.SpeechToTextServiceStub(channel).Transcribe()
            try:
                yield Microphone(call)
            finally:
                call.cancel()

        async with engine.lifespan(), serving(NAME, servicer.add_to) as channel:
            yield engine, microphone

    return served
