"""Composition root of the orchestrator; `wiring` builds the parts."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version

from service_kit.engines.info import EngineInfo
from service_kit.familiar_settings import FamiliarSettings, answer_familiar_settings
from service_kit.http.routes import health_routes
from service_kit.service import Service, new_health

from orchestrator import wiring
from orchestrator.api.audit import AuditLog, audit_file
from orchestrator.api.streaming import grpc
from orchestrator.conversation.model.services import LANGUAGES
from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.knowledge.retriever import Retriever
from orchestrator.settings import OrchestratorSettings

log = logging.getLogger(__name__)

NAME = "orchestrator"


def build(settings: OrchestratorSettings | None = None) -> Service:
    """Build the service. Raises `AnchorError` for invalid settings or content."""
    settings = settings or OrchestratorSettings()
    for line in answer_familiar_settings(FamiliarSettings()):
        log.warning(line)
    knowledge = KnowledgeFolder(settings.knowledge_dir)
    semantic = wiring.semantic_index(knowledge, settings)
    retriever = Retriever(knowledge, semantic, min_score=settings.briefing_min_score)
    model = wiring.language_model(retriever, settings)
    engine = EngineInfo(settings.llm_engine, model.model, version("orchestrator"), LANGUAGES, 24_000)
    health = new_health(NAME, engine, settings)

    def details() -> Mapping[str, object]:
        return wiring.join_details(model.describe(), wiring.describe_knowledge(semantic))

    health.details = details
    channels = wiring.service_channels(settings)
    memory = wiring.memory_pressure(channels, model, settings)
    admission = wiring.call_admission(memory, settings)
    status = wiring.status_watch(memory, admission, settings)
    services, voices, voice_store = wiring.services(channels, model, memory, admission, status, knowledge, settings)
    store = wiring.conversation_store(memory, settings)
    sessions = wiring.session_registry(services, store, memory, admission, health, settings)
    language = sessions.default_language

    def about() -> Mapping[str, object]:
        speakers = admission.desk.describe()
        return {"language": language, "languages": LANGUAGES, "voices": voices.ids, "speakers": speakers, **details()}

    routes = health_routes(health, about)
    audit = AuditLog()
    app, servicer = wiring.api(sessions, services, voice_store, memory, admission, routes, audit, settings)

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            if settings.audit_file is not None:
                stack.enter_context(audit_file(settings.audit_file, NAME))
            audit.record_keys(wiring.api_keys(settings))
            for channel in channels.values():
                await stack.enter_async_context(channel)
            knowledge.load()
            if semantic is not None:
                await stack.enter_async_context(semantic.running())
            if store is not None:
                await stack.enter_async_context(store.running())
            watch = admission.watch.running(admission.desk)
            for part in (model, memory.controller.running(), watch, voices.running(), status.running(), sessions):
                await stack.enter_async_context(part)
            yield

    return Service(
        settings=settings,
        health=health,
        servicers=[("anchor.session.v1.SessionService", partial(grpc.add_to, servicer=servicer))],
        lifespan=lifespan,
        app=app,
        drain=partial(sessions.drain, settings.turn_grace_s),
    )
