"""The service with a real engine, calls to it, and recordings for cloning."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import io
import shutil
import wave
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from anchor.tts.v1 import tts_pb2 as pb
from anchor.tts.v1 import tts_pb2_grpc
from grpc import aio
from service_kit.engines.info import engine_class
from service_kit.testing.plugin import serve_multiplexed
from tts_service.engine import SynthesisConfig, Voice
from tts_service.engines import ENGINES
from tts_service.servicer import SERVICE_NAME, TtsServicer
from tts_service.settings import TtsSettings
from tts_service.voices.reference_audio import MAX_RECORDING_BYTES

CONSENT = pb.VoiceConsent(
    id="cons_0123456789abcdef",
    name="Ana Silva",
    statement="I consent that this anchor speaks with my voice.",
    recording_wav=b"RIFF, the statement",
    language="en",
    given_unix_s=1_790_000_000,
)


@asynccontextmanager
async def service(settings: TtsSettings) -> AsyncGenerator[Any]:
    engine = engine_class(ENGINES, settings.engine)(settings)
    servicer = TtsServicer(engine, settings.max_streams)

    def add(server: aio.Server) -> None:
        tts_pb2_grpc.add_TextToSpeechServiceServicer_to_server(servicer, server)

    async with (
        engine.lifespan(),
        serve_multiplexed(SERVICE_NAME, add, max_message_bytes=MAX_RECORDING_BYTES) as channel,
    ):
        yield tts_pb2_grpc.TextToSpeechServiceStub(channel)


def recording(seconds: float, rate_hz: int = 24_000, channels: int = 1, loudness: float = 2000) -> bytes:
    """A WAV file of noise, every channel the same."""
    made = io.BytesIO()
    noise = np.random.default_rng(6).normal(0, loudness, (int(seconds * rate_hz), 1)).astype("<i2")
    with wave.open(made, "wb") as wav:
        wav.setparams((channels, 2, rate_hz, 0, "NONE", ""))
        wav.writeframes(np.repeat(noise, channels, axis=1).tobytes())
    return made.getvalue()


async def begun(stub: Any, text: str, **config: object) -> Any:
    """Start a reply and send all its text."""
    reply = stub.Synthesize()
    await reply.write(pb.SynthesizeRequest(config=pb.SynthesisConfig(language="en", **config)))
    await reply.write(pb.SynthesizeRequest(text=pb.TextDelta(text=text)))
    await reply.write(pb.SynthesizeRequest(end_of_text=pb.EndOfText()))
    return reply


async def rest_of(reply: Any) -> list[pb.SynthesizeResponse]:
    """The remaining events of the reply."""
    events: list[pb.SynthesizeResponse] = []
    while (event := await reply.read()) is not aio.EOF:
        events.append(event)
    return events


async def spoken(stub: Any, text: str, voice: str = "", **config: object) -> list[pb.SynthesizeResponse]:
    """All events of one reply."""
    return await rest_of(await begun(stub, text, voice=voice, **config))


def pcm_of(events: list[pb.SynthesizeResponse]) -> bytes:
    return b"".join(event.audio.pcm for event in events)


def in_voice(voice: Voice) -> SynthesisConfig:
    return SynthesisConfig(voice, "en")


def folder_beside(folder: Path, tmp_path: Path) -> Path:
    """A copy of the model's folder, for damage by the test."""
    return Path(shutil.copytree(folder, tmp_path / "spoilt"))
