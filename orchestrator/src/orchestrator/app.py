"""Composition root: what the orchestrator is made of."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from importlib.metadata import version
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import FastAPI
from fastapi.routing import APIRoute
from service_kit.engines.info import EngineInfo
from service_kit.errors import InvalidRequest
from service_kit.http.routes import health_routes
from service_kit.rpc.channel import open_channel
from service_kit.rpc.multiplex.client import MultiplexedChannel
from service_kit.service import Service, new_health

from orchestrator.api.access import AccessMiddleware, access_policy
from orchestrator.api.http import console as page
from orchestrator.api.http import engines as memory
from orchestrator.api.http import openai_transcriptions as transcriptions
from orchestrator.api.limits import ApiLimits
from orchestrator.api.routes import add_routes
from orchestrator.api.streaming import grpc as grpc_edge
from orchestrator.audio_filters.build import build_filter
from orchestrator.clients.engine_memory import ServiceParking
from orchestrator.clients.status import StatusWatch
from orchestrator.clients.stt import SttClient
from orchestrator.clients.tts import TtsClient
from orchestrator.clients.vad import VadClient
from orchestrator.clients.voices import VoiceWatch
from orchestrator.conversation.messages.system_status import SystemStatus
from orchestrator.conversation.model.degradation import DegradationBoard
from orchestrator.conversation.model.services import LANGUAGES, Services
from orchestrator.conversation.session.registry import SessionRegistry
from orchestrator.conversation.turns.barge_in import BargeInRules
from orchestrator.conversation.turns.endpointing import Endpointing
from orchestrator.conversation.turns.turn import TurnRules
from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.knowledge.personas import load_personas
from orchestrator.llm.briefing.engine import Briefing
from orchestrator.llm.main_model import MainModel, MainModelParking
from orchestrator.memory_pressure.controller import MemoryPressureController
from orchestrator.memory_pressure.degradation_ladder import DegradationLadder
from orchestrator.memory_pressure.engine_parking import EngineParking
from orchestrator.memory_pressure.on_demand import OnDemandLlm, OnDemandStt, OnDemandTts
from orchestrator.memory_pressure.parked_engine import ParkedEngine
from orchestrator.settings import OrchestratorSettings

NAME = "orchestrator"
# How long a reply waits for a voice that wakes, where another one is there to speak.
VOICE_WAIT_S = 1.5


def build(settings: OrchestratorSettings | None = None) -> Service:
    """The service, ready to run. Raises `AnchorError` for settings and content that do not fit."""
    settings = settings or OrchestratorSettings()
    the_page = page.console_routes(settings.web_dir)
    policy = access_policy(
        settings.reached_at,
        settings.shared_secret,
        origins=settings.origins,
        hosts=settings.hosts,
        open_paths=[route.path for route in the_page.routes if isinstance(route, APIRoute)],
    )
    knowledge = KnowledgeFolder(settings.knowledge_dir)
    main_model = MainModel(
        settings.llm_engine,
        _briefing(knowledge, settings),
        first_token_s=settings.first_token_s,
        max_reply_chars=settings.max_reply_chars,
    )
    info = EngineInfo(settings.llm_engine, main_model.model, version("orchestrator"), LANGUAGES, 24_000)
    health = new_health(NAME, info, settings)
    health.details = main_model.describe

    carriers = {
        name: MultiplexedChannel(open_channel(getattr(settings, f"{name}_target"))) for name in ("vad", "stt", "tts")
    }
    tts = TtsClient(carriers["tts"].for_stubs)
    fallback_tts: tuple[TtsClient, ...] = ()
    if settings.tts_fallback_target:
        carriers["tts-fallback"] = MultiplexedChannel(open_channel(settings.tts_fallback_target))
        fallback_tts = (TtsClient(carriers["tts-fallback"].for_stubs),)
    voices = VoiceWatch(tts)
    degradation_board = DegradationBoard()
    parking = EngineParking(
        {
            "llm": ParkedEngine("llm", MainModelParking(main_model), park_within_s=30),
            "tts": ParkedEngine("tts", ServiceParking(carriers["tts"].for_stubs, "tts")),
            "stt": ParkedEngine("stt", ServiceParking(carriers["stt"].for_stubs, "stt")),
        },
        degradation_board,
        after_idle_s=60 * settings.park_after_min,
    )
    memory_controller = MemoryPressureController(
        DegradationLadder(), parking, degradation_board, has_small_voice=bool(fallback_tts)
    )
    status = StatusWatch(
        {f"{name}-service": getattr(settings, f"{name}_health_url") for name in ("vad", "stt", "tts")}
        | {"gpu-monitor": settings.gpu_health_url},
        settings.gpu_target,
        on_pressure=memory_controller.on_pressure,
    )

    async def system_status() -> SystemStatus:
        known = await status.system_status()
        return replace(known, services=(*known.services, *main_model.status()), degraded=degradation_board.degraded)

    stt = OnDemandStt(SttClient(carriers["stt"].for_stubs), parking.engines["stt"])
    sessions = SessionRegistry(
        services=Services(
            voice_activity=VadClient(carriers["vad"].for_stubs),
            speech_to_text=stt,
            language_model=lambda: OnDemandLlm(
                main_model.session_model(), parking.engines["llm"], wait_s=settings.first_token_s
            ),
            text_to_speech=OnDemandTts(tts, parking.engines["tts"], VOICE_WAIT_S if fallback_tts else None),
            fallback_tts=fallback_tts,
            personas=load_personas(settings.personas_dir),
            system_status=system_status,
            voices=voices.latest,
            audio_filter=build_filter(settings.noise_suppression, settings.auto_gain),
            degraded_mode=memory_controller.degraded_mode,
            degradation_board=degradation_board,
        ),
        rules=_turn_rules(settings),
        language=settings.language,
        persona=settings.persona,
        capacity=settings.max_sessions,
        is_ready=lambda: health.ready,
        on_session_count=parking.on_sessions_changed,
        resume_s=settings.resume_s,
    )
    limits = ApiLimits(microphone_rate_hz=settings.microphone_rate_hz)

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            for channel in carriers.values():
                await stack.enter_async_context(channel)
            knowledge.load()
            await stack.enter_async_context(main_model)
            await stack.enter_async_context(memory_controller)
            await stack.enter_async_context(voices)
            await stack.enter_async_context(status)
            await stack.enter_async_context(sessions)
            yield

    app = FastAPI(title="AI Anchor", docs_url=None, redoc_url=None)
    app.include_router(
        health_routes(health, lambda: {"languages": LANGUAGES, "voices": voices.ids, **main_model.describe()})
    )
    app.include_router(the_page)
    app.include_router(memory.routes(parking, memory_controller.describe))
    uploads = add_routes(app, sessions, limits)
    app.include_router(transcriptions.routes(stt, uploads, limits))
    app.add_middleware(AccessMiddleware, policy=policy)
    servicer = grpc_edge.SessionServicer(sessions, limits, settings.shared_secret)
    return Service(
        settings=settings,
        health=health,
        servicers=[("anchor.session.v1.SessionService", partial(grpc_edge.add_to, servicer=servicer))],
        lifespan=lifespan,
        app=app,
    )


def _briefing(knowledge: KnowledgeFolder, settings: OrchestratorSettings) -> Briefing:
    try:
        zone = ZoneInfo(settings.time_zone) if settings.time_zone else None
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidRequest("orchestrator.unknown_time_zone", f"no time zone {settings.time_zone!r}") from error
    return Briefing(
        knowledge,
        min_score=settings.briefing_min_score,
        max_words=settings.briefing_max_words,
        clock=lambda: datetime.now(zone).astimezone(zone),
    )


def _turn_rules(settings: OrchestratorSettings) -> TurnRules:
    return TurnRules(
        Endpointing(
            floor_ms=settings.endpointing_floor_ms,
            ceiling_ms=settings.endpointing_ceiling_ms,
            unjudged_ms=settings.endpointing_unjudged_ms,
            steepness=settings.endpointing_steepness,
        ),
        patience=settings.patience,
        max_speculations=settings.speculation_tries,
        speculation_speech_ms=settings.speculation_speech_ms,
        barge_in=BargeInRules(
            stop_ms=settings.barge_in_stop_ms,
            hold_ms=max(settings.barge_in_stop_ms, settings.barge_in_hold_ms),
            min_speech_ms=settings.barge_in_min_speech_ms,
            min_words=settings.barge_in_min_words,
            settling_ms=settings.barge_in_settling_ms,
            echo_defence=settings.echo_defence == "on",
        ),
        latency_budget_ms=settings.latency_budget_ms,
    )
