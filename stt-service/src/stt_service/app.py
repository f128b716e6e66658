"""The composition root of stt-service."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from service_kit.engines import memory as engine_memory
from service_kit.engines.info import DependentEngine, engine_class
from service_kit.health import Health
from service_kit.service import Service, new_health

from stt_service.engine import SttEngine
from stt_service.fallback_engine import PROFILES, STAND_IN, EngineWithStandIn
from stt_service.servicer import NAME, SpeechToTextServicer
from stt_service.settings import SttSettings

ENGINES: Mapping[str, str] = {
    "faster-whisper": "stt_service.engines.faster_whisper:FasterWhisperEngine",
    "pocketsphinx": "stt_service.engines.pocketsphinx.engine:PocketsphinxEngine",
    "scripted": "stt_service.engines.scripted:ScriptedEngine",
    "voxtral": "stt_service.engines.voxtral.engine:VoxtralEngine",
    "voxtral-realtime": "stt_service.engines.voxtral_realtime.engine:VoxtralRealtimeEngine",
}


def build(settings: SttSettings | None = None) -> Service:
    """Put the service together; nothing is loaded yet. Raises `InvalidRequest` for an engine that is not there."""
    settings = settings or SttSettings()
    engine = build_engine(settings)
    servicer = SpeechToTextServicer(engine, settings.max_streams, settings.max_segment_s * 1000)
    memory = engine_memory.EngineMemoryServicer(engine, engine.info, engine_memory.own_container_id())
    health = new_health("stt-service", engine.info, settings)
    return Service(
        settings=settings,
        health=health,
        servicers=[(NAME, servicer.add_to), (engine_memory.SERVICE_NAME, memory.add_to)],
        lifespan=lambda: _told(engine, health),
        multiplex=True,
        unavailability=engine.unavailability if isinstance(engine, DependentEngine) else None,
        details=lambda: {"max_streams": settings.max_streams},
    )


def build_engine(settings: SttSettings) -> SttEngine:
    """What hears: the engine that is named, or the profile's. Raises `InvalidRequest` for one that there is not."""
    name = settings.engine or PROFILES[settings.profile]
    engine: SttEngine = engine_class(ENGINES, name)(settings)
    if settings.engine or name == STAND_IN:
        return engine
    return EngineWithStandIn(engine, engine_class(ENGINES, STAND_IN)(settings))


@asynccontextmanager
async def _told(engine: SttEngine, health: Health) -> AsyncGenerator[None]:
    """The engine's lifespan; `health` tells who hears, and why that is not the one that should."""
    async with engine.lifespan():
        health.engine = engine.info
        if isinstance(engine, EngineWithStandIn):
            health.details = lambda: {"degraded": engine.degraded}
        yield
