"""A trial heard by the product's own turn detection, faster than it was spoken: what was told, and when.

Moments are on the audio clock: how much audio had been heard when an event was told. A prediction is told so much
later as its judging took.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from orchestrator.conversation.messages.server import PredictorOpinion
from orchestrator.conversation.model import ports
from people import NO_SPEECH, PROJECT, UNKNOWN_LANGUAGE
from service_kit.audio import MICROPHONE, AudioChunk
from service_kit.engines.info import engine_class
from service_kit.engines.worker import EngineWorker
from service_kit.testing.plugin import split_pcm
from trials import Speech, Trial
from vad_service.engines.silero import SileroVad
from vad_service.events import Event, SpeechStarted, SpeechStopped, TurnEndPredicted
from vad_service.settings import VadSettings
from vad_service.speech.batching import FrameBatcher
from vad_service.speech.detection import DetectionConfig, TurnDetector
from vad_service.turn_end.predictor import PREDICTORS, PartialTranscript, TurnEndPredictor

CHUNK_MS = 32
# How often a recogniser shows what it has.
PARTIAL_INTERVAL_MS = 192

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and when the conversation hears of it."""

    at_ms: int
    event: ports.VadEvent


class WorkerWithoutThread(EngineWorker):
    """Judges at once and takes down how long that took, so that the audio clock can be moved by it.

    What counts is processor time: what others do on this machine is not the predictor's.
    """

    def __init__(self, durations_ms: list[float]) -> None:
        super().__init__("turn-end", 1)
        self._durations_ms = durations_ms

    async def run(self, work: Callable[[], T]) -> T:
        started_s = time.thread_time()
        result = work()
        self._durations_ms.append((time.thread_time() - started_s) * 1000)
        return result


@dataclass
class Ears:
    """The voice activity model, loaded, and one predictor after another."""

    settings: VadSettings = field(
        default_factory=lambda: VadSettings(
            models_dir=PROJECT / "models",
            models_lock=PROJECT / "models.lock",
            # Faster than life: a share of real time would be used up at once.
            turn_end_share=1.0,
        )
    )

    def __post_init__(self) -> None:
        self._model = SileroVad(self.settings)
        self._model.load()

    def predictor(self, name: str) -> TurnEndPredictor:
        """A predictor of the registry, loaded. Raises `AnchorError` when it cannot be."""
        predictor: TurnEndPredictor = engine_class(PREDICTORS, name)(self.settings)
        predictor.load()
        return predictor

    async def speech(self, pcm: bytes) -> Speech:
        """Where speech is."""
        told, _ = await self._hear(pcm, "", lambda _: "", self.predictor("pause"))
        starts = [each.event.at_ms for each in told if isinstance(each.event, ports.SpeechStarted)]
        stops = [each.event.at_ms for each in told if isinstance(each.event, ports.SpeechStopped)]
        return Speech(tuple(starts), tuple(stops))

    async def listen(self, trial: Trial, predictor: TurnEndPredictor) -> tuple[list[Told], list[float]]:
        """What is told of a trial, and how long each judgement took in milliseconds."""
        language = trial.recording.language
        known = "" if language in (NO_SPEECH, UNKNOWN_LANGUAGE) else language
        return await self._hear(trial.pcm, known, trial.text_until, predictor)

    async def hear(self, microphone: AsyncIterator[AudioChunk], tell: Callable[[ports.VadEvent, int], None]) -> None:
        """A live microphone: each event as it is found, and how long its judging took in milliseconds.

        Between two chunks the microphone should wait until `settled`.
        """
        await self._detect(microphone, "", self.predictor("pause"), tell, [])

    async def _hear(
        self, pcm: bytes, language: str, text_until: Callable[[int], str], predictor: TurnEndPredictor
    ) -> tuple[list[Told], list[float]]:
        told: list[Told] = []
        durations_ms: list[float] = []
        heard_ms = 0

        async def microphone() -> AsyncIterator[AudioChunk | PartialTranscript]:
            nonlocal heard_ms
            for index, piece in enumerate(split_pcm(pcm, MICROPHONE.bytes_for(CHUNK_MS))):
                chunk = AudioChunk(index * CHUNK_MS, piece)
                heard_ms = chunk.end_ms
                yield chunk
                # Whatever was asked in this chunk is answered before the next one.
                await settled()
                if heard_ms % PARTIAL_INTERVAL_MS == 0 and (text := text_until(heard_ms)):
                    yield PartialTranscript(text, heard_ms)

        def tell(event: ports.VadEvent, judging_ms: int) -> None:
            told.append(Told(heard_ms + judging_ms, event))

        await self._detect(microphone(), language, predictor, tell, durations_ms)
        return told, durations_ms

    async def _detect(
        self,
        inputs: AsyncIterator[AudioChunk | PartialTranscript],
        language: str,
        predictor: TurnEndPredictor,
        tell: Callable[[ports.VadEvent, int], None],
        durations_ms: list[float],
    ) -> None:
        worker = WorkerWithoutThread(durations_ms)
        shared = FrameBatcher(self._model, 1, 0)
        detector = TurnDetector(self._model, shared, predictor, worker, self.settings.edge_thresholds, 1)

        told_of = 0

        async def note(event: Event) -> None:
            nonlocal told_of
            # What was told at a glance took no time.
            judged = isinstance(event, TurnEndPredicted) and len(durations_ms) > told_of
            told_of = len(durations_ms)
            if (translated := _translated(event)) is not None:
                tell(translated, round(durations_ms[-1]) if judged else 0)

        await detector.detect(DetectionConfig(language, 0), inputs, note)


async def settled() -> None:
    """Wait until all that was begun is done; nobody else may have tasks."""
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0)


def _translated(event: Event) -> ports.VadEvent | None:
    """The event as the conversation knows it."""
    match event:
        case SpeechStarted(at_ms, pre_roll_start_ms):
            return ports.SpeechStarted(at_ms, pre_roll_start_ms)
        case SpeechStopped(at_ms):
            return ports.SpeechStopped(at_ms)
        case TurnEndPredicted():
            opinions = tuple(PredictorOpinion(part.name, part.probability) for part in event.opinions)
            return ports.TurnEndPredicted(event.at_ms, event.probability, event.predictor, event.silence_ms, opinions)
        case _:
            return None
