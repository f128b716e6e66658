"""Puts the tts-service together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from anchor.tts.v1 import tts_pb2_grpc
from grpc import aio
from service_kit import engine_memory
from service_kit.engine import engine_class
from service_kit.service import Service, new_health

from tts_service.engine import TtsEngine
from tts_service.engines import ENGINES
from tts_service.servicer import SERVICE_NAME, TtsServicer
from tts_service.settings import TtsSettings


def build(settings: TtsSettings | None = None) -> Service:
    """The service that the settings describe, by default those of the environment."""
    settings = settings or TtsSettings()
    engine: TtsEngine = engine_class(ENGINES, settings.engine)(settings)
    servicer = TtsServicer(engine, settings.max_streams)
    memory = engine_memory.EngineMemoryServicer(engine, engine.info, engine_memory.own_container_id())

    def add(server: aio.Server) -> None:
        tts_pb2_grpc.add_TextToSpeechServiceServicer_to_server(servicer, server)

    def details() -> Mapping[str, object]:
        return {"voices": [asdict(voice) for voice in engine.voices()], "max_streams": settings.max_streams}

    return Service(
        settings=settings,
        health=new_health("tts-service", engine.info, settings),
        servicers=[(SERVICE_NAME, add), (engine_memory.SERVICE_NAME, memory.add_to)],
        lifespan=engine.lifespan,
        carries=True,
        details=details,
    )
