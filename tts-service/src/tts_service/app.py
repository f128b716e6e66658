"""Composition root of the tts-service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial

from anchor.tts.v1 import tts_pb2_grpc
from grpc import aio
from service_kit.engines import memory as engine_memory
from service_kit.engines.info import engine_class
from service_kit.health import Health, Status
from service_kit.service import Service, new_health

from tts_service.engine import ServerBackedEngine, StagedEngine, TtsEngine
from tts_service.engines import ENGINES
from tts_service.routing.routed_adapter import RoutedStreamAdapter
from tts_service.routing.routed_engine import RoutedPhraseEngine
from tts_service.routing.routes import build_plan
from tts_service.servicer import SERVICE_NAME, TtsServicer
from tts_service.settings import TtsSettings
from tts_service.synthesis.stream import ReplyLimits, StreamAdapter
from tts_service.voices.reference_audio import MAX_RECORDING_BYTES


def build(settings: TtsSettings | None = None) -> Service:
    """Build the service from `settings`; None reads them from the environment."""
    settings = settings or TtsSettings()
    engine = build_engine(settings)
    servicer = TtsServicer(engine, settings.max_streams)
    memory = engine_memory.EngineMemoryServicer(engine, engine.info, engine_memory.own_container_id())

    def add(server: aio.Server) -> None:
        tts_pb2_grpc.add_TextToSpeechServiceServicer_to_server(servicer, server)

    def details() -> Mapping[str, object]:
        about = {"voices": [asdict(voice) for voice in engine.voices()]}
        return {
            **about,
            **slots,
            **(engine.routed_engine.describe() if isinstance(engine, RoutedStreamAdapter) else {}),
        }

    health = new_health("tts-service", engine.info, settings)
    slots = engine_slots(settings, engine.info.name)
    health.details = lambda: slots
    if isinstance(engine, RoutedStreamAdapter):
        _report_engine_states(health, engine.routed_engine, slots)
    elif isinstance(engine, StreamAdapter) and isinstance(engine.phrase_engine, StagedEngine):
        engine.phrase_engine.on_stage = partial(_report_stage, health)
    return Service(
        settings=settings,
        health=health,
        servicers=[(SERVICE_NAME, add), (engine_memory.SERVICE_NAME, memory.add_to)],
        lifespan=engine.lifespan,
        multiplex=True,
        max_message_bytes=MAX_RECORDING_BYTES,
        details=details,
        unavailability=engine.routed_engine.unavailability if isinstance(engine, RoutedStreamAdapter) else None,
    )


def build_engine(settings: TtsSettings) -> TtsEngine:
    """Build the engine of the settings: one engine, or several behind one.

    Raises `InvalidRequest` for a name that is not registered.
    """
    plan = build_plan(settings, ENGINES)

    def create(name: str) -> StreamAdapter:
        return engine_class(ENGINES, name)(settings)

    limits = ReplyLimits.from_settings(settings)
    if len(plan.engines) == 1:
        engine = create(plan.main)
        # A server-backed engine needs the supervision of the routed engine, even alone.
        if not isinstance(engine.phrase_engine, ServerBackedEngine):
            return engine
    return RoutedStreamAdapter(RoutedPhraseEngine(plan, create, limits.engine_silent_s), limits, len(plan.engines))


def engine_slots(settings: TtsSettings, name: str) -> Mapping[str, int]:
    """How many streams are accepted, and how many requests the main engine computes at a time, if few.

    `name` is that of the engine, or of several, the main one first.
    """
    slots = {"higgs": settings.higgs_slots, "pocket-tts": settings.pocket_slots, "piper": settings.piper_places}
    first = name.partition("+")[0]
    return {"max_streams": settings.max_streams} | ({"slots": slots[first]} if first in slots else {})


def _report_stage(health: Health, stage: str) -> None:
    """Show the stage of the only engine's start on `/health` and `/ready`."""
    if health.status is Status.LOADING:
        health.move_to(Status.LOADING, stage)


def _report_engine_states(health: Health, routed: RoutedPhraseEngine, slots: Mapping[str, int]) -> None:
    """Show unavailable engines on `/health` and `/ready`: as the reason while loading, then as degradation."""

    def report() -> None:
        health.engine = routed.info
        if not routed.started:
            health.move_to(Status.LOADING, routed.unavailability_reason())

    routed.on_change = report
    health.details = lambda: {**slots, "degraded": routed.unavailability_reason()}
