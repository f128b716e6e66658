"""Composition root: builds an stt-service from its settings."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from service_kit.engines import memory as engine_memory
from service_kit.engines.info import DependentEngine, engine_class
from service_kit.health import Health
from service_kit.service import Service, new_health

from stt_service.engine import SttEngine
from stt_service.fallback_engine import FALLBACK_NAME, PROFILE_ENGINES, FallbackEngine
from stt_service.servicer import SERVICE_NAME, SpeechToTextServicer
from stt_service.settings import SttSettings

# Engines by the name used in the `engine` setting.
ENGINES: Mapping[str, str] = {
    "faster-whisper": "stt_service.engines.faster_whisper:FasterWhisperEngine",
    "pocketsphinx": "stt_service.engines.pocketsphinx.engine:PocketsphinxEngine",
    "scripted": "stt_service.engines.scripted:ScriptedEngine",
    "voxtral": "stt_service.engines.voxtral.engine:VoxtralEngine",
    "voxtral-realtime": "stt_service.engines.voxtral_realtime.engine:VoxtralRealtimeEngine",
}


def build(settings: SttSettings | None = None) -> Service:
    """Build the service; `settings` defaults to the environment. Loads nothing yet.

    Raises `InvalidRequest` for an unknown engine.
    """
    settings = settings or SttSettings()
    engine = build_engine(settings)
    servicer = SpeechToTextServicer(engine, settings.max_streams, settings.max_segment_s * 1000)
    memory = engine_memory.EngineMemoryServicer(engine, engine.info, engine_memory.own_container_id())
    health = new_health("stt-service", engine.info, settings)
    return Service(
        settings=settings,
        health=health,
        servicers=[(SERVICE_NAME, servicer.add_to), (engine_memory.SERVICE_NAME, memory.add_to)],
        lifespan=lambda: _lifespan(engine, health),
        multiplex=True,
        unavailability=engine.unavailability if isinstance(engine, DependentEngine) else None,
        details=lambda: {"max_streams": settings.max_streams},
    )


def build_engine(settings: SttSettings) -> SttEngine:
    """Build the engine that `settings.engine` names, or the profile's engine with its fallback.

    Raises `InvalidRequest` for an unknown engine.
    """
    name = settings.engine or PROFILE_ENGINES[settings.profile]
    engine: SttEngine = engine_class(ENGINES, name)(settings)
    if settings.engine or name == FALLBACK_NAME:
        return engine
    return FallbackEngine(engine, engine_class(ENGINES, FALLBACK_NAME)(settings))


@asynccontextmanager
async def _lifespan(engine: SttEngine, health: Health) -> AsyncGenerator[None]:
    """Run the engine's lifespan; report the active engine, and why a fallback is active, in `health`."""
    async with engine.lifespan():
        health.engine = engine.info
        if isinstance(engine, FallbackEngine):
            health.details = lambda: {"degraded": engine.degraded}
        yield
