"""Turn detection on one microphone: frames, probabilities, speech edges, turn-end predictions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass

from service_kit.audio import AudioChunk
from service_kit.engines.worker import EngineWorker
from service_kit.errors import AtCapacity
from service_kit.tasks import TaskGroup

from vad_service.engine import FrameRequest, SpeechModel
from vad_service.events import Activity, Event, PauseReached, SpeechStarted, SpeechStopped
from vad_service.metrics import EVENTS, MICROPHONES_OPEN
from vad_service.settings import EdgeThresholds
from vad_service.speech.batching import FrameBatcher
from vad_service.speech.frames import Framer, TimedFrame
from vad_service.speech.speech_edges import SpeechEdge, SpeechEdgeDetector
from vad_service.turn_end.predictor import PartialTranscript, TurnEndPredictor
from vad_service.turn_end.scheduler import TurnEndScheduler

Emit = Callable[[Event], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class DetectionConfig:
    """Configuration of one microphone."""

    # ISO 639-1; empty when unknown.
    language: str
    # Milliseconds between `Activity` events; 0 for none.
    activity_interval_ms: int


@dataclass(frozen=True, slots=True)
class PredictionDepth:
    """Which predictions are made from now on: full ones, or only those from the transcript."""

    full: bool


@dataclass(frozen=True, slots=True)
class ActivityInterval:
    """Milliseconds of audio between `Activity` events from now on; 0 for none."""

    ms: int


Input = AudioChunk | PartialTranscript | PredictionDepth | ActivityInterval


class TurnDetector:
    """Shared by all microphones: the speech model, the turn-end predictor with its thread, the thresholds."""

    def __init__(
        self, model: SpeechModel, batcher: FrameBatcher, predictor: TurnEndPredictor, worker: EngineWorker,
        thresholds: EdgeThresholds, max_streams: int,
    ) -> None:  # fmt: skip
        self.model = model
        self.batcher = batcher
        self.predictor = predictor
        self.worker = worker
        self.thresholds = thresholds
        self._max_streams = max_streams
        self._streams = 0

    async def detect(self, config: DetectionConfig, inputs: AsyncIterator[Input], emit: Emit) -> None:
        """Detect turns in `inputs` until they end. Raises `AtCapacity` when `max_streams` are open."""
        if self._streams >= self._max_streams:
            raise AtCapacity("vad.full", f"all {self._streams} microphone streams are in use")
        self._streams += 1
        MICROPHONES_OPEN.inc()
        try:
            await _MicrophoneDetection(self, config, emit).run(inputs)
        finally:
            self._streams -= 1
            MICROPHONES_OPEN.dec()


class _MicrophoneDetection:
    """Turn detection on one microphone."""

    def __init__(self, detector: TurnDetector, config: DetectionConfig, emit: Emit) -> None:
        self._detector = detector
        self._config = config
        self._emit_unlocked = emit
        self._emitting = asyncio.Lock()
        self._framer = Framer()
        self._state = detector.model.new_state()
        self._edges = SpeechEdgeDetector(detector.thresholds)
        self._activity_interval_ms = config.activity_interval_ms
        self._next_activity_ms = 0

    async def run(self, inputs: AsyncIterator[Input]) -> None:
        """Process all inputs. Predictions run in tasks of their own, so that a slow one delays no speech edge."""
        detector = self._detector
        async with TaskGroup() as tasks:
            scheduler = TurnEndScheduler(detector.predictor, detector.worker, self._config.language, tasks, self._emit)
            async for item in inputs:
                match item:
                    case PartialTranscript():
                        scheduler.update_transcript(item)
                    case PredictionDepth():
                        scheduler.predicts_fully = item.full
                    case ActivityInterval():
                        self._activity_interval_ms, self._next_activity_ms = item.ms, 0
                    case AudioChunk():
                        for frame in self._framer.push_audio(item):
                            await self._push_frame(frame, scheduler)
            for frame in self._framer.flush():
                await self._push_frame(frame, scheduler)
            await self._emit_edges(self._edges.end_audio(), scheduler)

    async def _push_frame(self, frame: TimedFrame, scheduler: TurnEndScheduler) -> None:
        if frame.after_gap:
            self._state.reset()
        scheduler.push_audio(frame.samples, frame.start_ms, frame.end_ms)
        probability = await self._detector.batcher.predict(FrameRequest(self._state, frame.samples))
        if self._activity_interval_ms and frame.end_ms >= self._next_activity_ms:
            self._next_activity_ms = frame.end_ms + self._activity_interval_ms
            await self._emit(Activity(frame.end_ms, probability))
        await self._emit_edges(self._edges.push_frame(frame.start_ms, frame.end_ms, probability), scheduler)

    async def _emit_edges(self, edges: Iterable[SpeechEdge], scheduler: TurnEndScheduler) -> None:
        for edge in edges:
            match edge:
                case PauseReached():
                    scheduler.on_pause_reached(edge)
                    continue
                case SpeechStarted():
                    scheduler.on_speech_started(edge)
                case SpeechStopped():
                    scheduler.on_speech_stopped(edge)
            EVENTS.labels(type(edge).__name__).inc()
            await self._emit(edge)

    async def _emit(self, event: Event) -> None:
        async with self._emitting:
            await self._emit_unlocked(event)
