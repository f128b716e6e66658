"""The service with the engine `higgs` on tiny random weights, and calls to it."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import higgs_weights
import numpy as np
from anchor.memory.v1 import memory_pb2_grpc
from anchor.tts.v1 import tts_pb2 as pb
from anchor.tts.v1 import tts_pb2_grpc
from grpc import aio
from service_kit.engines.info import engine_class
from service_kit.engines.memory import EngineMemoryServicer
from service_kit.testing.plugin import serve_multiplexed
from spoken_service import spoken as spoken_as
from tts_service.engines import ENGINES
from tts_service.engines.higgs.default_voice import REFERENCE_TEXTS, DefaultVoice, identify_voice
from tts_service.engines.higgs.voices import CODEC_BOOKS, CODEC_CODES
from tts_service.servicer import SERVICE_NAME, TtsServicer
from tts_service.settings import TtsSettings
from tts_service.voices.reference_audio import MAX_RECORDING_BYTES

SEED = 1


def write_folders(made: Path) -> Path:
    """Write the folders of a model and of its codec."""
    higgs_weights.write_model(made / "model")
    (made / "codec").mkdir()
    higgs_weights.write_codec(made / "codec", loudness=0.3)
    write_default_voice(made)
    return made


def write_default_voice(folder: Path) -> None:
    """Write random references of the built-in voice for the models in `folder`: speaking them takes seconds."""
    voice = DefaultVoice(folder / "voices")
    voice.load(identify_voice((folder / "model", folder / "codec"), SEED))
    noise = np.random.default_rng(6)
    for language in REFERENCE_TEXTS:
        voice.save_reference(language, noise.integers(0, CODEC_CODES, (200, CODEC_BOOKS)))


def settings_for(folder: Path, voices: Path) -> TtsSettings:
    """Settings with two slots on the CPU, and the references of the built-in voice in `voices`."""
    shutil.copytree(folder / "voices", voices, dirs_exist_ok=True)
    return TtsSettings(
        engine="higgs",
        higgs_model=folder / "model",
        higgs_codec=folder / "codec",
        higgs_voices=voices,
        higgs_device="cpu",
        higgs_slots=2,
        higgs_context_tokens=1024,
        higgs_temperature=0.8,
        higgs_seed=SEED,
    )


@dataclass(frozen=True)
class Stubs:
    """Stubs of the service."""

    tts: Any
    memory: Any


@asynccontextmanager
async def service(settings: TtsSettings) -> AsyncGenerator[Stubs]:
    engine = engine_class(ENGINES, settings.engine)(settings)
    servicer = TtsServicer(engine, settings.max_streams)

    def add(server: aio.Server) -> None:
        tts_pb2_grpc.add_TextToSpeechServiceServicer_to_server(servicer, server)
        EngineMemoryServicer(engine, engine.info).add_to(server)

    async with (
        engine.lifespan(),
        serve_multiplexed(SERVICE_NAME, add, max_message_bytes=MAX_RECORDING_BYTES) as channel,
    ):
        yield Stubs(tts_pb2_grpc.TextToSpeechServiceStub(channel), memory_pb2_grpc.EngineMemoryServiceStub(channel))


async def spoken(stub: Any, text: str, voice: str = "", **style: float) -> list[pb.SynthesizeResponse]:
    """All events of one reply in this style."""
    return await spoken_as(stub, text, voice, style=pb.SpeechStyle(**style))
