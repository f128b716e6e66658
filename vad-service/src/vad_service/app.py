"""Composition root: from settings to a running vad-service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from service_kit.engines.info import engine_class
from service_kit.engines.worker import EngineWorker
from service_kit.service import Service, new_health

from vad_service.engine import SpeechModel
from vad_service.engines import ENGINES
from vad_service.servicer import SERVICE_NAME, TurnDetectionServicer
from vad_service.settings import VadSettings
from vad_service.speech.batching import SharedModel
from vad_service.speech.detection import TurnDetector
from vad_service.turn_end.predictor import PREDICTORS, TurnEndPredictor


def build(settings: VadSettings | None = None) -> Service:
    """A vad-service; without `settings`, as the environment says."""
    settings = settings or VadSettings()
    model: SpeechModel = engine_class(ENGINES, settings.engine)(settings)
    predictor: TurnEndPredictor = engine_class(PREDICTORS, settings.turn_end_predictor)(settings)
    # Everybody's edges come before anybody's judgement.
    worker = EngineWorker("turn-end", settings.max_waiting_predictions, niceness=10)
    shared = SharedModel(model, settings.max_batch, settings.batch_wait_ms)
    detector = TurnDetector(model, shared, predictor, worker, settings.edge_rules, settings.max_streams)

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        try:
            await asyncio.to_thread(model.load)
            await worker.run(predictor.load)
            yield
        finally:
            worker.close()

    def details() -> Mapping[str, object]:
        return {"turn_end_predictor": predictor.name, "max_streams": settings.max_streams}

    return Service(
        settings=settings,
        health=new_health("vad-service", model.info, settings),
        servicers=[(SERVICE_NAME, TurnDetectionServicer(detector).add_to)],
        lifespan=lifespan,
        multiplex=True,
        details=details,
    )
