"""Turn detection over one microphone: frames, probabilities, edges, predictions, in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass

from service_kit.audio import AudioChunk
from service_kit.engines.worker import EngineWorker
from service_kit.errors import AtCapacity

from vad_service.engine import Hearing, SpeechModel
from vad_service.metrics import EVENTS, MICROPHONES_OPEN
from vad_service.speech.batching import SharedModel
from vad_service.speech.events import Activity, Event, SpeechStarted, SpeechStopped
from vad_service.speech.frames import Framing, PlacedFrame
from vad_service.speech.speech_edges import Edge, EdgeRules, Edges, PauseReached
from vad_service.turn_end.predictor import PartialTranscript, TurnEndPredictor
from vad_service.turn_end.scheduler import Judging

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
        self._next_activity_ms = 0

    async def run(self, inputs: AsyncIterator[AudioChunk | PartialTranscript]) -> None:
        """Hear everything; judgements run beside, so that a slow one holds up no edge."""
        detector = self._detector
        async with asyncio.TaskGroup() as judgements:
            judging = Judging(detector.predictor, detector.worker, self._config.language, judgements, self._emit)
            async for item in inputs:
                if isinstance(item, PartialTranscript):
                    judging.read(item)
                    continue
                for frame in self._framing.frames(item):
                    await self._hear(frame, judging)
            for frame in self._framing.finish():
                await self._hear(frame, judging)
            await self._tell(self._edges.end(), judging)

    async def _hear(self, frame: PlacedFrame, judging: Judging) -> None:
        if frame.after_gap:
            self._memory.forget()
        judging.hear(frame.samples, frame.start_ms, frame.end_ms)
        probability = await self._detector.shared.judge(Hearing(self._memory, frame.samples))
        if self._config.activity_interval_ms and frame.end_ms >= self._next_activity_ms:
            self._next_activity_ms = frame.end_ms + self._config.activity_interval_ms
            await self._emit(Activity(frame.end_ms, probability))
        await self._tell(self._edges.hear(frame.start_ms, frame.end_ms, probability), judging)

    async def _tell(self, edges: Iterable[Edge], judging: Judging) -> None:
        for edge in edges:
            match edge:
                case PauseReached():
                    judging.due(edge)
                    continue
                case SpeechStarted():
                    judging.started(edge)
                case SpeechStopped():
                    judging.stopped(edge)
            EVENTS.labels(type(edge).__name__).inc()
            await self._emit(edge)

    async def _emit(self, event: Event) -> None:
        async with self._emitting:
            await self._emit_outside(event)
