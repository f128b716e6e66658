"""Turn detection over one microphone: frames, probabilities, edges, predictions, in their order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass

from service_kit.audio import AudioChunk
from service_kit.engine_worker import EngineWorker
from service_kit.errors import AtCapacity

from vad_service.batching import SharedModel
from vad_service.edges import Edge, EdgeRules, Edges, PauseReached
from vad_service.engine import Hearing, SpeechModel
from vad_service.events import Activity, Event, TurnEndPredicted
from vad_service.frames import Framing, PlacedFrame
from vad_service.metrics import EVENTS, MICROPHONES_OPEN, PREDICTION_SECONDS, PREDICTIONS_LEFT_OUT
from vad_service.turn_end import PartialTranscript, Pause, RecentAudio, TurnEndPredictor

Emit = Callable[[Event], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class DetectionConfig:
    """How one microphone is listened to."""

    # ISO 639-1; empty when not known.
    language: str
    # Time between `Activity` events; 0 for none.
    activity_interval_ms: int


class TurnDetector:
    """What all microphones share: the speech model, the predictor and its thread, the rules."""

    def __init__(
        self, model: SpeechModel, shared: SharedModel, predictor: TurnEndPredictor, worker: EngineWorker,
        rules: EdgeRules, max_streams: int,
    ) -> None:  # fmt: skip
        self.model = model
        self.shared = shared
        self.predictor = predictor
        self.worker = worker
        self.rules = rules
        self._max_streams = max_streams
        self._streams = 0

    async def listen(
        self, config: DetectionConfig, inputs: AsyncIterator[AudioChunk | PartialTranscript], emit: Emit
    ) -> None:
        """Detect turns in `inputs` until they end. Raises `AtCapacity` when all places are taken."""
        if self._streams >= self._max_streams:
            raise AtCapacity("vad.full", f"{self._streams} microphones are listened to already")
        self._streams += 1
        MICROPHONES_OPEN.inc()
        try:
            await _Detection(self, config, emit).run(inputs)
        finally:
            self._streams -= 1
            MICROPHONES_OPEN.dec()


class _Detection:
    """The state of one microphone."""

    def __init__(self, detector: TurnDetector, config: DetectionConfig, emit: Emit) -> None:
        self._detector = detector
        self._config = config
        self._emit_outside = emit
        self._emitting = asyncio.Lock()
        self._framing = Framing()
        self._memory = detector.model.open()
        self._edges = Edges(detector.rules)
        self._recent = RecentAudio(detector.predictor.audio_ms)
        self._transcript: PartialTranscript | None = None
        self._heard_ms: int | None = None
        self._next_activity_ms = 0

    async def run(self, inputs: AsyncIterator[AudioChunk | PartialTranscript]) -> None:
        """Hear everything; predictions run beside, so that a slow one holds up no edge."""
        async with asyncio.TaskGroup() as predictions:
            async for item in inputs:
                if isinstance(item, PartialTranscript):
                    self._transcript = item
                    continue
                for frame in self._framing.frames(item):
                    await self._hear(frame, predictions)
            for frame in self._framing.finish():
                await self._hear(frame, predictions)
            await self._tell(self._edges.end(), predictions)

    async def _hear(self, frame: PlacedFrame, predictions: asyncio.TaskGroup) -> None:
        if frame.after_gap:
            self._memory.forget()
        self._recent.append(frame.samples, frame.start_ms - (self._heard_ms or frame.start_ms))
        self._heard_ms = frame.end_ms
        probability = await self._detector.shared.judge(Hearing(self._memory, frame.samples))
        if self._config.activity_interval_ms and frame.end_ms >= self._next_activity_ms:
            self._next_activity_ms = frame.end_ms + self._config.activity_interval_ms
            await self._emit(Activity(frame.end_ms, probability))
        await self._tell(self._edges.hear(frame.start_ms, frame.end_ms, probability), predictions)

    async def _tell(self, edges: Iterable[Edge], predictions: asyncio.TaskGroup) -> None:
        for edge in edges:
            if isinstance(edge, PauseReached):
                predictions.create_task(self._predict(edge), name="predict turn end")
            else:
                EVENTS.labels(type(edge).__name__).inc()
                await self._emit(edge)

    async def _predict(self, due: PauseReached) -> None:
        """Judge a pause, and tell unless speech has resumed. With too many waiting, this pause goes unjudged."""
        pause = Pause(due.at_ms, due.silence_ms, self._recent.samples(), self._transcript, self._config.language)
        predictor = self._detector.predictor
        started_s = time.perf_counter()
        try:
            probability = await self._detector.worker.run(lambda: predictor.predict(pause))
        except AtCapacity:
            PREDICTIONS_LEFT_OUT.labels("queue_full").inc()
            return
        PREDICTION_SECONDS.observe(time.perf_counter() - started_s)
        if not self._edges.is_pausing_since(due.at_ms):
            PREDICTIONS_LEFT_OUT.labels("speech_resumed").inc()
            return
        EVENTS.labels(TurnEndPredicted.__name__).inc()
        await self._emit(TurnEndPredicted(due.at_ms, due.silence_ms, probability, predictor.name))

    async def _emit(self, event: Event) -> None:
        async with self._emitting:
            await self._emit_outside(event)
