"""Builds the parts that `app.build` puts together, each from the settings and the parts before it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from grpc import aio
from service_kit.engines.machine_profile import read_profile
from service_kit.errors import InvalidRequest
from service_kit.health import Health
from service_kit.http.api_keys import ApiKey, parse_api_keys
from service_kit.resources import read_resources
from service_kit.rpc.channel import open_service_channel

from orchestrator.admission.capacity import EnginesInUse
from orchestrator.admission.desk import AdmissionDesk
from orchestrator.admission.held_services import PlacedStt, PlacedTts
from orchestrator.admission.load_ladder import LoadStep
from orchestrator.admission.load_meter import LoadMeter, MeteredStt
from orchestrator.admission.load_watch import LoadWatch
from orchestrator.admission.policy import AdmissionRules
from orchestrator.api.access import access_policy, guard
from orchestrator.api.audit import AuditLog
from orchestrator.api.http import access_token, engines, openai_speech, openai_transcriptions, voice_consents, voices
from orchestrator.api.http.console import console_routes
from orchestrator.api.limits import ApiLimits
from orchestrator.api.routes import add_routes
from orchestrator.api.secret_check import SecretCheck
from orchestrator.api.streaming import captions, grpc
from orchestrator.audio_filters.build import build_filter
from orchestrator.clients.engine_memory import RemoteEngineControl
from orchestrator.clients.status import StatusWatch
from orchestrator.clients.stt import SttClient
from orchestrator.clients.tts import TtsClient
from orchestrator.clients.vad import VadClient
from orchestrator.clients.voices import VoiceWatch
from orchestrator.conversation.messages.system_status import SystemStatus
from orchestrator.conversation.model.degradation import DegradationBoard
from orchestrator.conversation.model.services import Services
from orchestrator.conversation.model.store import ConversationStore
from orchestrator.conversation.model.voice_store import VoiceStore
from orchestrator.conversation.output.reply import LLM_TIMEOUT_S
from orchestrator.conversation.session.registry import SessionRegistry
from orchestrator.conversation.turns.barge_in import BargeInThresholds
from orchestrator.conversation.turns.endpointing import Endpointing
from orchestrator.conversation.turns.turn import TurnRules
from orchestrator.knowledge.embeddings.embedder import EmbeddingProcess
from orchestrator.knowledge.embeddings.semantic_index import SemanticIndex, SemanticState
from orchestrator.knowledge.embeddings.vector_file import VectorFile
from orchestrator.knowledge.embeddings.worker import PACKAGE
from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.knowledge.personas import load_personas
from orchestrator.knowledge.retriever import Retriever
from orchestrator.llm.briefing.engine import BriefingModel
from orchestrator.llm.fallback import ATTEMPTS
from orchestrator.llm.local.engine import LocalModel
from orchestrator.llm.local.settings import LocalLlmSettings
from orchestrator.llm.main_model import MainModel, MainModelControl
from orchestrator.memory_pressure.controller import MemoryPressureController
from orchestrator.memory_pressure.degradation_ladder import DegradationLadder
from orchestrator.memory_pressure.engine_parking import EngineParking
from orchestrator.memory_pressure.on_demand import OnDemandLlm, OnDemandStt, OnDemandTts, OnDemandVoiceStore
from orchestrator.memory_pressure.parkable_engine import ParkableEngine
from orchestrator.settings import OrchestratorSettings
from orchestrator.store.sql_store import SqlStore

# How long a reply waits for a parked TTS engine to wake before the fallback TTS speaks it.
_TTS_WAKE_WAIT_S = 1.5
_TTS_FALLBACK = "tts-fallback"


@dataclass(frozen=True, slots=True)
class MemoryPressure:
    """Everything that reacts to scarce GPU memory."""

    degradation_board: DegradationBoard
    parking: EngineParking
    controller: MemoryPressureController


@dataclass(frozen=True, slots=True)
class CallAdmission:
    """Everything that decides who may speak, and what is left out when many do."""

    engines: EnginesInUse
    desk: AdmissionDesk
    meter: LoadMeter
    watch: LoadWatch

    def does(self, step: LoadStep) -> bool:
        """Whether the work that `step` leaves out is done now."""
        return not self.watch.sheds(step)


def service_channels(settings: OrchestratorSettings) -> dict[str, aio.Channel]:
    """Channels to `vad`, `stt` and `tts`, and to `tts-fallback` where one is configured; not yet open."""
    targets = {"vad": settings.vad_target, "stt": settings.stt_target, "tts": settings.tts_target}
    if settings.tts_fallback_target:
        targets[_TTS_FALLBACK] = settings.tts_fallback_target
    return {name: open_service_channel(target, multiplex=settings.multiplex) for name, target in targets.items()}


def embedding_model() -> str:
    """What makes the vectors, with its version."""
    try:
        return f"{PACKAGE} {version(PACKAGE)}"
    except PackageNotFoundError:
        # The process reports it.
        return PACKAGE


def semantic_index(knowledge: KnowledgeFolder, settings: OrchestratorSettings) -> SemanticIndex | None:
    """Search by meaning, of the embedded profile with its default models; None elsewhere."""
    if settings.profile != "embedded" or settings.models == "minimal":
        return None
    return SemanticIndex(knowledge, EmbeddingProcess(), VectorFile(settings.knowledge_vectors, embedding_model()))


def describe_knowledge(semantic: SemanticIndex | None) -> Mapping[str, object]:
    """How passages are found, for `/health` and `/info`; `degraded` has the reason when search by meaning is broken."""
    if semantic is None:
        return {"knowledge": {"search": "bm25"}}
    described = {"search": f"bm25+{PACKAGE}", **semantic.describe()}
    if semantic.state is not SemanticState.FAILED:
        return {"knowledge": described}
    return {"knowledge": described, "degraded": f"search by meaning is off: {semantic.failure}"}


def join_details(*details: Mapping[str, object]) -> Mapping[str, object]:
    """The details of all parts for `/health` and `/info`, with every reason for `degraded`."""
    joined = {name: value for part in details for name, value in part.items()}
    if reasons := [str(part["degraded"]) for part in details if "degraded" in part]:
        joined["degraded"] = "; ".join(reasons)
    return joined


def language_model(retriever: Retriever, settings: OrchestratorSettings) -> MainModel:
    """The main language model, with the briefing as its fallback, and before it the local model where one runs."""
    briefing = _briefing(retriever, settings)
    local = None
    if "local" in (settings.llm_engine, settings.llm_fallback):
        local = LocalModel(LocalLlmSettings(), retriever, briefing)
    return MainModel(
        settings.llm_engine,
        briefing,
        first_token_s=settings.first_token_s,
        max_reply_chars=settings.max_reply_chars,
        local=local,
    )


def memory_pressure(
    channels: Mapping[str, aio.Channel], main_model: MainModel, settings: OrchestratorSettings
) -> MemoryPressure:
    """The degradation ladder, and parking of the engines that hold GPU memory."""
    board = DegradationBoard()
    parking = EngineParking(
        {
            "llm": ParkableEngine("llm", MainModelControl(main_model), park_timeout_s=30),
            "tts": ParkableEngine("tts", RemoteEngineControl(channels["tts"], "tts")),
            "stt": ParkableEngine("stt", RemoteEngineControl(channels["stt"], "stt")),
        },
        board,
        park_all_after_s=60 * settings.park_after_min,
    )
    has_small_voice = _TTS_FALLBACK in channels
    controller = MemoryPressureController(DegradationLadder(), parking, board, has_small_voice=has_small_voice)
    return MemoryPressure(board, parking, controller)


def call_admission(memory: MemoryPressure, settings: OrchestratorSettings) -> CallAdmission:
    """Admission by the measured capacity of this machine, and shedding of work before that is exceeded."""
    engines = EnginesInUse(
        cores=read_resources().cores,
        profile=read_profile(settings.machine_profile),
        llm_slots=settings.llm_slots,
        max_speakers=settings.own_max_speakers,
    )
    desk = AdmissionDesk(engines.capacity, AdmissionRules(max_waiting=settings.max_waiting))
    meter = LoadMeter()
    return CallAdmission(engines, desk, meter, LoadWatch(meter, memory.degradation_board))


def status_watch(memory: MemoryPressure, admission: CallAdmission, settings: OrchestratorSettings) -> StatusWatch:
    """Polls the services and the GPU monitor; reports pressure, degraded services, and the engines that calls need."""
    return StatusWatch(
        {
            "vad-service": settings.vad_health_url,
            "stt-service": settings.stt_health_url,
            "tts-service": settings.tts_health_url,
            "gpu-monitor": settings.gpu_health_url,
        },
        settings.gpu_target,
        on_pressure=memory.controller.on_pressure,
        on_degraded=lambda entries: memory.degradation_board.publish("services", entries),
        on_ready=lambda service, fields: admission.desk.set_capacity(admission.engines.report(service, fields)),
    )


def services(
    channels: Mapping[str, aio.Channel],
    main_model: MainModel,
    memory: MemoryPressure,
    admission: CallAdmission,
    status: StatusWatch,
    knowledge: KnowledgeFolder,
    settings: OrchestratorSettings,
) -> tuple[Services, VoiceWatch, VoiceStore]:
    """The services that sessions use, each woken on demand, the watch over the TTS voices, and their store."""
    parked = memory.parking.engines
    wants_partials = partial(admission.does, LoadStep.PARTIALS)
    stt = MeteredStt(SttClient(channels["stt"], wants_partials), admission.meter, _now_s, wants_partials)
    tts = TtsClient(channels["tts"])
    watch = VoiceWatch(tts)
    fallback_tts = tuple(TtsClient(channels[name]) for name in (_TTS_FALLBACK,) if name in channels)

    async def system_status() -> SystemStatus:
        known = await status.system_status()
        return replace(
            known,
            services=(*known.services, *main_model.status()),
            degraded=(*memory.degradation_board.degraded, *main_model.degraded()),
        )

    return (
        Services(
            voice_activity=VadClient(channels["vad"], partial(admission.does, LoadStep.TURN_PREDICTION)),
            speech_to_text=OnDemandStt(stt, parked["stt"]),
            language_model=lambda: OnDemandLlm(
                main_model.session_model(), parked["llm"], wait_s=settings.first_token_s
            ),
            text_to_speech=OnDemandTts(tts, parked["tts"], _TTS_WAKE_WAIT_S if fallback_tts else None),
            fallback_tts=fallback_tts,
            personas=load_personas(settings.personas_dir),
            first_token_s=max(LLM_TIMEOUT_S, settings.first_token_s * ATTEMPTS),
            default_voice=settings.voice,
            system_status=system_status,
            voices=watch.latest,
            audio_filter=build_filter(settings.noise_suppression, settings.auto_gain),
            degraded_mode=memory.controller.degraded_mode,
            degradation_board=memory.degradation_board,
            sheds_speculation=partial(admission.watch.sheds, LoadStep.SPECULATION),
            sample_questions=lambda: knowledge.sample_questions if main_model.reads_knowledge else {},
        ),
        watch,
        OnDemandVoiceStore(tts, parked["tts"], watch.refresh),
    )


def conversation_store(memory: MemoryPressure, settings: OrchestratorSettings) -> SqlStore | None:
    """The store of conversations; None where nothing is stored. Raises `InvalidRequest` for an invalid setting."""
    url = settings.store.get_secret_value()
    if url == "off":
        return None
    return SqlStore(
        url,
        settings.store_retention_days,
        on_degraded=lambda entries: memory.degradation_board.publish("store", entries),
    )


def turn_rules(settings: OrchestratorSettings) -> TurnRules:
    """The settings of turn-taking."""
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
        barge_in=BargeInThresholds(
            stop_ms=settings.barge_in_stop_ms,
            hold_ms=max(settings.barge_in_stop_ms, settings.barge_in_hold_ms),
            min_speech_ms=settings.barge_in_min_speech_ms,
            min_words=settings.barge_in_min_words,
            settling_ms=settings.barge_in_settling_ms,
            echo_defence=settings.echo_defence == "on",
        ),
        latency_budget_ms=settings.latency_budget_ms,
    )


def session_registry(
    services: Services,
    store: ConversationStore | None,
    memory: MemoryPressure,
    admission: CallAdmission,
    health: Health,
    settings: OrchestratorSettings,
) -> SessionRegistry:
    """The registry that admits sessions while the service is ready and has capacity."""

    def on_session_count(sessions: int) -> None:
        memory.parking.on_sessions_changed(sessions)
        admission.desk.set_capacity(admission.engines.count(sessions))

    return SessionRegistry(
        services=services,
        rules=turn_rules(settings),
        language=settings.language,
        persona=settings.persona,
        capacity=settings.max_sessions,
        is_ready=lambda: health.ready,
        on_session_count=on_session_count,
        resume_s=settings.resume_s,
        store=store,
        places=admission.desk,
    )


def api_keys(settings: OrchestratorSettings) -> tuple[ApiKey, ...]:
    """The keys of clients."""
    return parse_api_keys(settings.api_keys)


def api(
    sessions: SessionRegistry,
    services: Services,
    voice_store: VoiceStore,
    memory: MemoryPressure,
    admission: CallAdmission,
    health: APIRouter,
    audit: AuditLog,
    settings: OrchestratorSettings,
) -> tuple[FastAPI, grpc.SessionServicer]:
    """All HTTP and WebSocket APIs behind the access check, and the gRPC servicer; `health` routes included."""
    limits = ApiLimits(microphone_rate_hz=settings.microphone_rate_hz)
    console = console_routes(settings.web_dir)
    app = FastAPI(title="AI Anchor", docs_url=None, redoc_url=None)
    app.include_router(health)
    app.include_router(console)
    app.include_router(engines.routes(memory.parking, memory.controller.describe))
    uploads = add_routes(app, sessions, limits)
    speech_to_text = PlacedStt(services.speech_to_text, admission.desk)
    text_to_speech = PlacedTts(services.text_to_speech, admission.desk)
    app.include_router(openai_transcriptions.routes(speech_to_text, uploads, limits))
    app.include_router(openai_speech.routes(text_to_speech, uploads, limits))
    consents = voice_consents.Consents(speech_to_text, uploads, limits)
    adding = voices.VoiceAdding(voice_store, consents, speech_to_text, uploads, limits)
    app.include_router(voices.routes(adding, voice_store, uploads, limits))
    app.include_router(voice_consents.routes(consents, voice_store, uploads, limits))
    keys = api_keys(settings)
    policy = access_policy(
        settings.client_host,
        settings.shared_secret,
        has_keys=bool(keys),
        origins=settings.origins,
        hosts=settings.hosts,
        # The console's own files need no secret, and watchers have a key of their own.
        open_paths=[*(route.path for route in console.routes if isinstance(route, APIRoute)), captions.PATH],
    )
    # In Compose only the proxy publishes ports beyond this host.
    secret_check = SecretCheck(policy.secret, keys=keys, behind_proxy=settings.published_on_loopback, audit=audit)
    app.include_router(access_token.routes(secret_check.single_use_tokens))
    app.include_router(captions.routes(sessions, limits, secret_check))
    guard(app, policy, secret_check)
    return app, grpc.SessionServicer(sessions, limits, secret_check)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _briefing(retriever: Retriever, settings: OrchestratorSettings) -> BriefingModel:
    try:
        zone = ZoneInfo(settings.time_zone) if settings.time_zone else None
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidRequest("orchestrator.unknown_time_zone", f"no time zone {settings.time_zone!r}") from error
    return BriefingModel(
        retriever,
        max_words=settings.briefing_max_words,
        clock=lambda: datetime.now(zone).astimezone(zone),
    )
