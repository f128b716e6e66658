"""Runs the product's turn detection on trials, faster than real time, and records its events.

Times are on the audio clock: the amount of audio received when an event came. A prediction comes later by the
processor time it took.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from orchestrator.conversation.messages.server import PredictorOpinion
from orchestrator.conversation.model import ports
from recordings import NO_SPEECH, PROJECT, UNKNOWN_LANGUAGE
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
# The interval between partial transcripts.
PARTIAL_INTERVAL_MS = 192

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """An event, and when the conversation receives it."""

    at_ms: int
    event: ports.VadEvent


class InlineWorker(EngineWorker):
    """Runs work inline and records its duration, by which the caller shifts the audio clock.

    The duration is processor time, so that other programs on this machine do not count.
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
class OfflineVad:
    """The voice activity model, loaded, and one predictor after another."""

    settings: VadSettings = field(
        default_factory=lambda: VadSettings(
            models_dir=PROJECT / "models",
            models_lock=PROJECT / "models.lock",
            # Runs faster than real time, so a smaller share would be used up immediately.
            turn_end_share=1.0,
        )
    )

    def __post_init__(self) -> None:
        self._model = SileroVad(self.settings)
        self._model.load()

    def load_predictor(self, name: str) -> TurnEndPredictor:
        """Load a predictor of the registry. Raises `AnchorError` when it cannot be loaded."""
        predictor: TurnEndPredictor = engine_class(PREDICTORS, name)(self.settings)
        predictor.load()
        return predictor

    async def find_speech(self, pcm: bytes) -> Speech:
        """The spans of speech in `pcm`."""
        events, _ = await self._run(pcm, "", lambda _: "", self.load_predictor("pause"))
        starts = [each.event.at_ms for each in events if isinstance(each.event, ports.SpeechStarted)]
        stops = [each.event.at_ms for each in events if isinstance(each.event, ports.SpeechStopped)]
        return Speech(tuple(starts), tuple(stops))

    async def run_trial(self, trial: Trial, predictor: TurnEndPredictor) -> tuple[list[TimedEvent], list[float]]:
        """The events of a trial, and the processor time of each prediction in milliseconds."""
        language = trial.recording.language
        known = "" if language in (NO_SPEECH, UNKNOWN_LANGUAGE) else language
        return await self._run(trial.pcm, known, trial.text_until, predictor)

    async def run_live(
        self, microphone: AsyncIterator[AudioChunk], on_event: Callable[[ports.VadEvent, int], None]
    ) -> None:
        """Run a live microphone; `on_event` receives each event and the milliseconds its prediction took.

        Between two chunks the microphone should call `wait_until_idle`.
        """
        await self._detect(microphone, "", self.load_predictor("pause"), on_event, [])

    async def _run(
        self, pcm: bytes, language: str, text_until: Callable[[int], str], predictor: TurnEndPredictor
    ) -> tuple[list[TimedEvent], list[float]]:
        events: list[TimedEvent] = []
        durations_ms: list[float] = []
        received_ms = 0

        async def microphone() -> AsyncIterator[AudioChunk | PartialTranscript]:
            nonlocal received_ms
            for index, piece in enumerate(split_pcm(pcm, MICROPHONE.bytes_for(CHUNK_MS))):
                chunk = AudioChunk(index * CHUNK_MS, piece)
                received_ms = chunk.end_ms
                yield chunk
                # All work of this chunk ends before the next one.
                await wait_until_idle()
                if received_ms % PARTIAL_INTERVAL_MS == 0 and (text := text_until(received_ms)):
                    yield PartialTranscript(text, received_ms)

        def record(event: ports.VadEvent, prediction_ms: int) -> None:
            events.append(TimedEvent(received_ms + prediction_ms, event))

        await self._detect(microphone(), language, predictor, record, durations_ms)
        return events, durations_ms

    async def _detect(
        self,
        inputs: AsyncIterator[AudioChunk | PartialTranscript],
        language: str,
        predictor: TurnEndPredictor,
        on_event: Callable[[ports.VadEvent, int], None],
        durations_ms: list[float],
    ) -> None:
        worker = InlineWorker(durations_ms)
        shared = FrameBatcher(self._model, 1, 0)
        detector = TurnDetector(self._model, shared, predictor, worker, self.settings.edge_thresholds, 1)

        seen = 0

        async def forward(event: Event) -> None:
            nonlocal seen
            # A quick prediction runs no work, and takes no time.
            took_time = isinstance(event, TurnEndPredicted) and len(durations_ms) > seen
            seen = len(durations_ms)
            if (translated := _to_port_event(event)) is not None:
                on_event(translated, round(durations_ms[-1]) if took_time else 0)

        await detector.detect(DetectionConfig(language, 0), inputs, forward)


async def wait_until_idle() -> None:
    """Wait until no other task is left; the caller must be the only one with tasks."""
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0)


def _to_port_event(event: Event) -> ports.VadEvent | None:
    """The event in the types of the conversation."""
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
