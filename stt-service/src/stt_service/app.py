"""Composition root: builds an stt-service from its settings."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from service_kit.engines import memory as engine_memory
from service_kit.engines.info import DependentEngine, engine_class
from service_kit.errors import EngineFailed
from service_kit.health import Health
from service_kit.service import Service, new_health

from stt_service.engine import SttEngine
from stt_service.fallback_engine import DegradableEngine, FallbackEngine
from stt_service.servicer import SERVICE_NAME, SpeechToTextServicer
from stt_service.settings import SttSettings
from stt_service.stream_limit import max_streams

# Engines by the name used in the `engine` setting.
ENGINES: dict[str, str] = {
    # The name of earlier versions.
    "faster-whisper": "stt_service.engines.whisper.engine:WhisperEngine",
    "pocketsphinx": "stt_service.engines.pocketsphinx.engine:PocketsphinxEngine",
    "scripted": "stt_service.engines.scripted:ScriptedEngine",
    "voxtral": "stt_service.engines.voxtral.engine:VoxtralEngine",
    "voxtral-realtime": "stt_service.engines.voxtral_realtime.engine:VoxtralRealtimeEngine",
    "whisper": "stt_service.engines.whisper.engine:WhisperEngine",
}
# Needs no model file and no server.
SMALLEST = "pocketsphinx"


def build(settings: SttSettings | None = None) -> Service:
    """Build the service; `settings` defaults to the environment. Loads nothing yet.

    Raises `InvalidRequest` for an unknown engine.
    """
    settings = settings or SttSettings()
    engine = build_engine(settings)
    streams = max_streams(settings)
    servicer = SpeechToTextServicer(engine, streams, settings.max_segment_s * 1000)
    memory = engine_memory.EngineMemoryServicer(engine, engine.info, engine_memory.own_container_id())
    health = new_health("stt-service", engine.info, settings)
    details = {"max_streams": streams}
    health.details = lambda: details
    return Service(
        settings=settings,
        health=health,
        servicers=[(SERVICE_NAME, servicer.add_to), (engine_memory.SERVICE_NAME, memory.add_to)],
        lifespan=lambda: _lifespan(engine, health, details),
        multiplex=True,
        unavailability=engine.unavailability if isinstance(engine, DependentEngine) else None,
        details=lambda: details,
    )


def build_engine(settings: SttSettings) -> SttEngine:
    """Build the engine that `settings.engine` names, or that of the profile with its fallbacks.

    Without a name, it is Whisper: of the folder in the settings, of the model store, and PocketSphinx when neither is
    there. The profile `embedded` with the minimal models has PocketSphinx alone. Raises `InvalidRequest` for an unknown
    engine.
    """
    if settings.engine:
        return engine_class(ENGINES, settings.engine)(settings)
    if settings.profile == "embedded" and settings.models == "minimal":
        return build_smallest(settings)
    # Not before it is needed: CTranslate2 takes a while to import.
    from stt_service.engines.whisper.engine import WhisperEngine
    from stt_service.engines.whisper.models import candidates

    first, *others = candidates(settings)
    smaller = [partial(WhisperEngine, settings, name) for name in others]
    return FallbackEngine(WhisperEngine(settings, first), *smaller, partial(build_smallest, settings))


def build_smallest(settings: SttSettings) -> SttEngine:
    """Build PocketSphinx. Raises `EngineFailed` where it is not installed: its wheels exist for some Pythons only."""
    try:
        return engine_class(ENGINES, SMALLEST)(settings)
    except ImportError as error:
        raise EngineFailed(
            "stt.not_installed", f"{SMALLEST} is not installed: it offers no wheel for this version of Python"
        ) from error


@asynccontextmanager
async def _lifespan(engine: SttEngine, health: Health, details: Mapping[str, object]) -> AsyncGenerator[None]:
    """Run the engine's lifespan; report the active engine, and why a fallback is active, in `health`."""
    async with engine.lifespan():
        health.engine = engine.info
        if isinstance(engine, DegradableEngine):
            health.details = lambda: {**details, "degraded": engine.degraded}
        yield
