"""The composition root of stt-service."""

from __future__ import annotations

from collections.abc import Mapping

from service_kit import engine_memory
from service_kit.engine import LeaningEngine, engine_class
from service_kit.service import Service, new_health

from stt_service.engine import SttEngine
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
    engine: SttEngine = engine_class(ENGINES, settings.engine)(settings)
    servicer = SpeechToTextServicer(engine, settings.max_streams, settings.max_segment_s * 1000)
    memory = engine_memory.EngineMemoryServicer(engine, engine.info, engine_memory.own_container_id())
    return Service(
        settings=settings,
        health=new_health("stt-service", engine.info, settings),
        servicers=[(NAME, servicer.add_to), (engine_memory.SERVICE_NAME, memory.add_to)],
        lifespan=engine.lifespan,
        carries=True,
        lacks=engine.lacks if isinstance(engine, LeaningEngine) else None,
        details=lambda: {"max_streams": settings.max_streams},
    )
