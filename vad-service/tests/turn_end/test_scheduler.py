"""When the turn-end scheduler predicts, repeats, drops and reports predictions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
from prometheus_client import REGISTRY
from service_kit.engines.worker import EngineWorker
from vad_service.engine import FRAME_SAMPLES
from vad_service.events import PauseReached, SpeechStarted, SpeechStopped, TurnEndPredicted
from vad_service.turn_end.predictor import PartialTranscript, Pause, Prediction, QuickPrediction
from vad_service.turn_end.scheduler import TurnEndScheduler


class ScriptedPredictor:
    """Returns the probabilities of `script` in order, while `released`; records the pauses it gets."""

    name = "scripted"
    audio_ms = 320

    def __init__(self) -> None:
        self.script: list[float] = []
        self.pauses: list[Pause] = []
        self.released = threading.Event()
        self.released.set()

    def load(self) -> None: ...

    def predict(self, pause: Pause) -> Prediction:
        self.pauses.append(pause)
        assert self.released.wait(20)
        return Prediction(self.script.pop(0))


@pytest.fixture
def predictor():
    predictor = ScriptedPredictor()
    yield predictor
    predictor.released.set()


@pytest.fixture
def reported() -> list[TurnEndPredicted]:
    return []


@pytest.fixture
def schedule(predictor, reported):
    """`async with schedule() as scheduler`: when it exits, all predictions have been made."""

    @asynccontextmanager
    async def scheduling(max_waiting: int = 4) -> AsyncGenerator[TurnEndScheduler]:
        async def report(event: TurnEndPredicted) -> None:
            reported.append(event)

        worker = EngineWorker("turn-end", max_waiting)
        try:
            async with asyncio.TaskGroup() as tasks:
                yield TurnEndScheduler(predictor, worker, "en", tasks, report)
        finally:
            worker.close()

    return scheduling


def speak(scheduler: TurnEndScheduler, start_ms: int, stop_ms: int) -> None:
    scheduler.on_speech_started(SpeechStarted(start_ms, start_ms))
    for at_ms in range(start_ms, stop_ms, 32):
        scheduler.push_audio(np.full(FRAME_SAMPLES, 0.25, np.float32), at_ms, at_ms + 32)
    scheduler.on_speech_stopped(SpeechStopped(stop_ms))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.002)


def dropped(reason: str) -> float:
    return REGISTRY.get_sample_value("anchor_vad_predictions_left_out_total", {"reason": reason}) or 0


def brief(reported: list[TurnEndPredicted]) -> list[tuple[int, int, float]]:
    return [(event.at_ms, event.silence_ms, event.probability) for event in reported]


async def test_an_open_pause_is_predicted_again_as_it_grows(schedule, predictor, reported):
    predictor.script = [0.1, 0.4, 0.9]
    async with schedule() as scheduler:
        speak(scheduler, 0, 640)
        for silence_ms in (224, 512, 928):
            scheduler.on_pause_reached(PauseReached(640, silence_ms))
            await until(lambda silence_ms=silence_ms: bool(reported) and reported[-1].silence_ms == silence_ms)
    assert brief(reported) == [(640, 224, 0.1), (640, 512, 0.4), (640, 928, 0.9)]
    assert [pause.earlier_prediction for pause in predictor.pauses] == [None] * 3


async def test_a_pause_predicted_as_final_is_predicted_once(schedule, predictor, reported):
    predictor.script = [0.5]
    async with schedule() as scheduler:
        speak(scheduler, 0, 640)
        scheduler.on_pause_reached(PauseReached(640, 224))
        await until(lambda: len(reported) == 1)
        scheduler.on_pause_reached(PauseReached(640, 512))
    assert brief(reported) == [(640, 224, 0.5)]


async def test_a_new_transcript_is_predicted_with_the_earlier_prediction(schedule, predictor, reported):
    predictor.script = [0.9, 0.1]
    async with schedule() as scheduler:
        speak(scheduler, 0, 640)
        scheduler.on_pause_reached(PauseReached(640, 224))
        await until(lambda: len(reported) == 1)
        scheduler.push_audio(np.zeros(FRAME_SAMPLES, np.float32), 880, 912)
        scheduler.update_transcript(PartialTranscript("what is the", 640))
    assert brief(reported) == [(640, 224, 0.9), (640, 272, 0.1)]
    assert predictor.pauses[1].earlier_prediction == Prediction(0.9)
    assert predictor.pauses[1].transcript == PartialTranscript("what is the", 640)


@pytest.mark.parametrize(
    ("before", "after", "prediction_count"),
    [
        (PartialTranscript("what", 640), PartialTranscript("what", 800), 1),
        (PartialTranscript("what", 320), PartialTranscript("what", 500), 1),
        (PartialTranscript("what", 320), PartialTranscript("what", 640), 2),
        (PartialTranscript("what", 640), PartialTranscript("what is", 640), 2),
    ],
    ids=["the same", "the same, still too old", "the same, now up to the pause", "another"],
)
async def test_only_a_transcript_with_new_information_is_predicted(
    schedule, predictor, reported, before, after, prediction_count: int
):
    predictor.script = [0.9, 0.1]
    async with schedule() as scheduler:
        scheduler.update_transcript(before)
        speak(scheduler, 0, 640)
        scheduler.on_pause_reached(PauseReached(640, 224))
        await until(lambda: len(reported) == 1)
        scheduler.update_transcript(after)
    assert len(predictor.pauses) == prediction_count


async def test_a_transcript_during_speech_requests_no_prediction(schedule, predictor):
    async with schedule() as scheduler:
        speak(scheduler, 0, 640)
        scheduler.update_transcript(PartialTranscript("what", 640))
    assert predictor.pauses == []


async def test_an_unchanged_probability_is_not_reported_again(schedule, predictor, reported):
    predictor.script = [0.3, 0.305, 0.32]
    async with schedule() as scheduler:
        speak(scheduler, 0, 640)
        scheduler.on_pause_reached(PauseReached(640, 224))
        await until(lambda: len(reported) == 1)
        scheduler.on_pause_reached(PauseReached(640, 512))
        await until(lambda: len(predictor.pauses) == 2)
        await until(lambda: not predictor.script[1:])
        scheduler.on_pause_reached(PauseReached(640, 928))
    assert brief(reported) == [(640, 224, 0.3), (640, 928, 0.32)]


async def test_of_requests_during_a_prediction_only_the_newest_is_made(schedule, predictor, reported):
    predictor.script = [0.1, 0.2]
    predictor.released.clear()
    async with schedule() as scheduler:
        speak(scheduler, 0, 640)
        scheduler.on_pause_reached(PauseReached(640, 224))
        await until(lambda: len(predictor.pauses) == 1)
        scheduler.on_pause_reached(PauseReached(640, 512))
        scheduler.on_pause_reached(PauseReached(640, 928))
        scheduler.update_transcript(PartialTranscript("what", 640))
        predictor.released.set()
    assert [silence_ms for _, silence_ms, _ in brief(reported)] == [224, 928]
    # The longer silence was not predicted yet, though the transcript came last.
    assert predictor.pauses[1].earlier_prediction is None


async def test_a_waiting_prediction_is_dropped_when_speech_resumes(predictor, reported):
    """Two microphones pause together, and the second resumes while its request waits for the thread."""
    predictor.script = [0.7]
    predictor.released.clear()
    before = dropped("speech_resumed")

    async def report(event: TurnEndPredicted) -> None:
        reported.append(event)

    worker = EngineWorker("turn-end", 4)
    async with asyncio.TaskGroup() as tasks:
        first, second = (TurnEndScheduler(predictor, worker, "en", tasks, report) for _ in range(2))
        speak(first, 0, 640)
        first.on_pause_reached(PauseReached(640, 224))
        await until(lambda: len(predictor.pauses) == 1)
        speak(second, 5000, 5640)
        second.on_pause_reached(PauseReached(5640, 224))
        await asyncio.sleep(0.02)
        second.on_speech_started(SpeechStarted(5900, 5640))
        predictor.released.set()
    worker.close()
    assert brief(reported) == [(640, 224, 0.7)]
    assert [pause.at_ms for pause in predictor.pauses] == [640]
    assert dropped("speech_resumed") == before + 1


async def test_a_pause_after_resumed_speech_gets_its_own_prediction(schedule, predictor, reported):
    predictor.script = [0.7, 0.7]
    predictor.released.clear()
    async with schedule() as scheduler:
        speak(scheduler, 0, 640)
        scheduler.on_pause_reached(PauseReached(640, 224))
        await until(lambda: len(predictor.pauses) == 1)
        speak(scheduler, 900, 1540)
        scheduler.on_pause_reached(PauseReached(1540, 224))
        predictor.released.set()
    assert brief(reported) == [(1540, 224, 0.7)]


async def test_a_full_worker_queue_drops_the_prediction(schedule, predictor, reported):
    before = dropped("queue_full")
    async with schedule(max_waiting=0) as scheduler:
        speak(scheduler, 0, 640)
        scheduler.on_pause_reached(PauseReached(640, 224))
    assert (reported, predictor.pauses, dropped("queue_full")) == ([], [], before + 1)


async def test_speech_ms_counts_the_speech_of_the_turn(schedule, predictor, reported):
    predictor.script = [0.1] * 3
    async with schedule() as scheduler:
        for start_ms, stop_ms in ((0, 640), (1000, 1320), (3000, 3320)):
            speak(scheduler, start_ms, stop_ms)
            scheduler.on_pause_reached(PauseReached(stop_ms, 224))
            await until(lambda at_ms=stop_ms: bool(reported) and reported[-1].at_ms == at_ms)
    # The last starts after too long a silence to belong to the same turn.
    assert [pause.speech_ms for pause in predictor.pauses] == [640, 960, 320]


async def test_the_predictor_gets_the_latest_audio_with_gaps_as_silence(schedule, predictor):
    predictor.script = [0.7]
    async with schedule() as scheduler:
        speak(scheduler, 0, 640)
        scheduler.push_audio(np.full(FRAME_SAMPLES, -0.5, np.float32), 640 + 128, 640 + 160)
        scheduler.on_pause_reached(PauseReached(640, 224))
        # Audio after the request is not part of it.
        scheduler.push_audio(np.ones(FRAME_SAMPLES, np.float32) * 0.75, 800, 832)
    (pause,) = predictor.pauses
    frames = pause.audio.reshape(-1, FRAME_SAMPLES)
    assert pause.audio.dtype == np.float32
    assert frames.mean(axis=1).tolist() == [0.25] * 5 + [0.0] * 4 + [-0.5]


class ScriptedQuickPredictor(ScriptedPredictor):
    """Its quick prediction is sufficient for the transcript "yes" only."""

    def __init__(self) -> None:
        super().__init__()
        self.quick_pauses: list[Pause] = []

    def predict_quickly(self, pause: Pause) -> QuickPrediction:
        self.quick_pauses.append(pause)
        is_sufficient = pause.transcript is not None and pause.transcript.text == "yes"
        return QuickPrediction(Prediction(0.9 if is_sufficient else 0.6), is_sufficient)


@pytest.fixture
def schedule_quick(reported):
    """`async with schedule_quick() as (scheduler, predictor)`, with a predictor that offers quick predictions."""
    predictor = ScriptedQuickPredictor()

    @asynccontextmanager
    async def scheduling() -> AsyncGenerator[tuple[TurnEndScheduler, ScriptedQuickPredictor]]:
        async def report(event: TurnEndPredicted) -> None:
            reported.append(event)

        worker = EngineWorker("turn-end", 4)
        try:
            async with asyncio.TaskGroup() as tasks:
                yield TurnEndScheduler(predictor, worker, "en", tasks, report), predictor
        finally:
            predictor.released.set()
            worker.close()

    return scheduling


def probabilities(reported: list[TurnEndPredicted]) -> list[float]:
    return [event.probability for event in reported]


async def test_a_quick_prediction_is_reported_before_the_full_one(schedule_quick, reported):
    async with schedule_quick() as (scheduler, predictor):
        predictor.released.clear()
        predictor.script = [0.2]
        speak(scheduler, 0, 1600)
        scheduler.on_pause_reached(PauseReached(1600, 224))
        await asyncio.sleep(0.05)
        assert probabilities(reported) == [0.6]
        predictor.released.set()
    assert probabilities(reported) == [0.6, 0.2]
    assert predictor.quick_pauses[0].audio.size == 0


async def test_a_sufficient_quick_prediction_needs_no_full_one(schedule_quick, reported):
    async with schedule_quick() as (scheduler, predictor):
        speak(scheduler, 0, 1600)
        scheduler.update_transcript(PartialTranscript("yes", 1600))
        scheduler.on_pause_reached(PauseReached(1600, 224))
    assert probabilities(reported) == [0.9]
    assert predictor.pauses == []


async def test_a_quick_prediction_of_newer_text_supersedes_the_full_one(schedule_quick, reported):
    async with schedule_quick() as (scheduler, predictor):
        predictor.released.clear()
        predictor.script = [0.1]
        speak(scheduler, 0, 1600)
        scheduler.on_pause_reached(PauseReached(1600, 224))
        await asyncio.sleep(0.05)
        scheduler.update_transcript(PartialTranscript("yes", 1600))
        await asyncio.sleep(0.05)
        predictor.released.set()
    assert probabilities(reported) == [0.6, 0.9]


async def test_after_a_full_prediction_a_longer_silence_gets_no_quick_one(schedule_quick, reported):
    async with schedule_quick() as (scheduler, predictor):
        predictor.script = [0.2, 0.4]
        speak(scheduler, 0, 1600)
        scheduler.on_pause_reached(PauseReached(1600, 224))
        await until(lambda: probabilities(reported) == [0.6, 0.2])
        scheduler.on_pause_reached(PauseReached(1600, 512))
    assert probabilities(reported) == [0.6, 0.2, 0.4]
    assert len(predictor.quick_pauses) == 1


async def test_without_full_predictions_the_quick_ones_remain(schedule_quick, reported):
    async with schedule_quick() as (scheduler, predictor):
        scheduler.predicts_fully = False
        speak(scheduler, 0, 640)
        scheduler.on_pause_reached(PauseReached(640, 224))
        await until(lambda: len(reported) == 1)
        scheduler.predicts_fully = True
        predictor.script = [0.2]
        scheduler.on_pause_reached(PauseReached(640, 512))
    assert brief(reported) == [(640, 224, 0.6), (640, 512, 0.2)]
    assert len(predictor.pauses) == 1
