"""When pauses are judged, and again, and when nobody wants to know any more."""

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
from vad_service.speech.events import SpeechStarted, SpeechStopped, TurnEndPredicted
from vad_service.speech.speech_edges import PauseReached
from vad_service.turn_end.predictor import Glance, Judgement, PartialTranscript, Pause
from vad_service.turn_end.scheduler import Judging


class Obedient:
    """Answers what it is told to, once it may; remembers what it was asked."""

    name = "obedient"
    audio_ms = 320

    def __init__(self) -> None:
        self.answers: list[float] = []
        self.asked: list[Pause] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def load(self) -> None: ...

    def predict(self, pause: Pause) -> Judgement:
        self.asked.append(pause)
        assert self.may_answer.wait(20)
        return Judgement(self.answers.pop(0))


@pytest.fixture
def predictor():
    predictor = Obedient()
    yield predictor
    predictor.may_answer.set()


@pytest.fixture
def told() -> list[TurnEndPredicted]:
    return []


@pytest.fixture
def listen(predictor, told):
    """`async with listen() as judging`: at its end, all judgements have been made."""

    @asynccontextmanager
    async def listening(max_waiting: int = 4) -> AsyncGenerator[Judging]:
        async def tell(event: TurnEndPredicted) -> None:
            told.append(event)

        worker = EngineWorker("turn-end", max_waiting)
        try:
            async with asyncio.TaskGroup() as tasks:
                yield Judging(predictor, worker, "en", tasks, tell)
        finally:
            worker.close()

    return listening


def speak(judging: Judging, start_ms: int, stop_ms: int) -> None:
    judging.started(SpeechStarted(start_ms, start_ms))
    for at_ms in range(start_ms, stop_ms, 32):
        judging.hear(np.full(FRAME_SAMPLES, 0.25, np.float32), at_ms, at_ms + 32)
    judging.stopped(SpeechStopped(stop_ms))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.002)


def left_out(reason: str) -> float:
    return REGISTRY.get_sample_value("anchor_vad_predictions_left_out_total", {"reason": reason}) or 0


def brief(told: list[TurnEndPredicted]) -> list[tuple[int, int, float]]:
    return [(event.at_ms, event.silence_ms, event.probability) for event in told]


async def test_a_pause_that_seems_open_is_judged_again_as_it_grows(listen, predictor, told):
    predictor.answers = [0.1, 0.4, 0.9]
    async with listen() as judging:
        speak(judging, 0, 640)
        for silence_ms in (224, 512, 928):
            judging.due(PauseReached(640, silence_ms))
            await until(lambda silence_ms=silence_ms: bool(told) and told[-1].silence_ms == silence_ms)
    assert brief(told) == [(640, 224, 0.1), (640, 512, 0.4), (640, 928, 0.9)]
    assert [pause.earlier for pause in predictor.asked] == [None] * 3


async def test_a_pause_that_seems_final_is_judged_once(listen, predictor, told):
    predictor.answers = [0.5]
    async with listen() as judging:
        speak(judging, 0, 640)
        judging.due(PauseReached(640, 224))
        await until(lambda: len(told) == 1)
        judging.due(PauseReached(640, 512))
    assert brief(told) == [(640, 224, 0.5)]


async def test_a_new_transcript_is_judged_at_once_with_what_was_heard_before(listen, predictor, told):
    predictor.answers = [0.9, 0.1]
    async with listen() as judging:
        speak(judging, 0, 640)
        judging.due(PauseReached(640, 224))
        await until(lambda: len(told) == 1)
        judging.hear(np.zeros(FRAME_SAMPLES, np.float32), 880, 912)
        judging.read(PartialTranscript("what is the", 640))
    assert brief(told) == [(640, 224, 0.9), (640, 272, 0.1)]
    assert predictor.asked[1].earlier == Judgement(0.9)
    assert predictor.asked[1].transcript == PartialTranscript("what is the", 640)


@pytest.mark.parametrize(
    ("before", "after", "asked"),
    [
        (PartialTranscript("what", 640), PartialTranscript("what", 800), 1),
        (PartialTranscript("what", 320), PartialTranscript("what", 500), 1),
        (PartialTranscript("what", 320), PartialTranscript("what", 640), 2),
        (PartialTranscript("what", 640), PartialTranscript("what is", 640), 2),
    ],
    ids=["the same", "the same, and too old still", "the same, now up to the pause", "another"],
)
async def test_only_a_transcript_that_says_more_is_judged(listen, predictor, told, before, after, asked: int):
    predictor.answers = [0.9, 0.1]
    async with listen() as judging:
        judging.read(before)
        speak(judging, 0, 640)
        judging.due(PauseReached(640, 224))
        await until(lambda: len(told) == 1)
        judging.read(after)
    assert len(predictor.asked) == asked


async def test_a_transcript_during_speech_waits_for_the_pause(listen, predictor):
    async with listen() as judging:
        speak(judging, 0, 640)
        judging.read(PartialTranscript("what", 640))
    assert predictor.asked == []


async def test_an_opinion_that_has_not_changed_is_not_told_again(listen, predictor, told):
    predictor.answers = [0.3, 0.305, 0.32]
    async with listen() as judging:
        speak(judging, 0, 640)
        judging.due(PauseReached(640, 224))
        await until(lambda: len(told) == 1)
        judging.due(PauseReached(640, 512))
        await until(lambda: len(predictor.asked) == 2)
        await until(lambda: not predictor.answers[1:])
        judging.due(PauseReached(640, 928))
    assert brief(told) == [(640, 224, 0.3), (640, 928, 0.32)]


async def test_of_what_is_asked_during_a_judgement_the_latest_counts(listen, predictor, told):
    predictor.answers = [0.1, 0.2]
    predictor.may_answer.clear()
    async with listen() as judging:
        speak(judging, 0, 640)
        judging.due(PauseReached(640, 224))
        await until(lambda: len(predictor.asked) == 1)
        judging.due(PauseReached(640, 512))
        judging.due(PauseReached(640, 928))
        judging.read(PartialTranscript("what", 640))
        predictor.may_answer.set()
    assert [silence_ms for _, silence_ms, _ in brief(told)] == [224, 928]
    # The longer silence has not been heard yet, though the transcript came last.
    assert predictor.asked[1].earlier is None


async def test_what_waits_is_dropped_unjudged_when_speech_resumes(predictor, told):
    """Two microphones pause at once, and the second goes on before its turn comes."""
    predictor.answers = [0.7]
    predictor.may_answer.clear()
    before = left_out("speech_resumed")

    async def tell(event: TurnEndPredicted) -> None:
        told.append(event)

    worker = EngineWorker("turn-end", 4)
    async with asyncio.TaskGroup() as tasks:
        first, second = (Judging(predictor, worker, "en", tasks, tell) for _ in range(2))
        speak(first, 0, 640)
        first.due(PauseReached(640, 224))
        await until(lambda: len(predictor.asked) == 1)
        speak(second, 5000, 5640)
        second.due(PauseReached(5640, 224))
        await asyncio.sleep(0.02)
        second.started(SpeechStarted(5900, 5640))
        predictor.may_answer.set()
    worker.close()
    assert brief(told) == [(640, 224, 0.7)]
    assert [pause.at_ms for pause in predictor.asked] == [640]
    assert left_out("speech_resumed") == before + 1


async def test_a_pause_after_resumed_speech_is_judged_afresh(listen, predictor, told):
    predictor.answers = [0.7, 0.7]
    predictor.may_answer.clear()
    async with listen() as judging:
        speak(judging, 0, 640)
        judging.due(PauseReached(640, 224))
        await until(lambda: len(predictor.asked) == 1)
        speak(judging, 900, 1540)
        judging.due(PauseReached(1540, 224))
        predictor.may_answer.set()
    assert brief(told) == [(1540, 224, 0.7)]


async def test_with_too_many_waiting_a_pause_goes_unjudged(listen, predictor, told):
    before = left_out("queue_full")
    async with listen(max_waiting=0) as judging:
        speak(judging, 0, 640)
        judging.due(PauseReached(640, 224))
    assert (told, predictor.asked, left_out("queue_full")) == ([], [], before + 1)


async def test_it_knows_how_much_was_said_in_the_turn(listen, predictor, told):
    predictor.answers = [0.1] * 3
    async with listen() as judging:
        for start_ms, stop_ms in ((0, 640), (1000, 1320), (3000, 3320)):
            speak(judging, start_ms, stop_ms)
            judging.due(PauseReached(stop_ms, 224))
            await until(lambda at_ms=stop_ms: bool(told) and told[-1].at_ms == at_ms)
    # The last comes too late to belong to what was said before.
    assert [pause.speech_ms for pause in predictor.asked] == [640, 960, 320]


async def test_what_is_heard_is_the_latest_with_gaps_as_silence(listen, predictor):
    predictor.answers = [0.7]
    async with listen() as judging:
        speak(judging, 0, 640)
        judging.hear(np.full(FRAME_SAMPLES, -0.5, np.float32), 640 + 128, 640 + 160)
        judging.due(PauseReached(640, 224))
        # What comes later was not part of the question.
        judging.hear(np.ones(FRAME_SAMPLES, np.float32) * 0.75, 800, 832)
    (pause,) = predictor.asked
    frames = pause.audio.reshape(-1, FRAME_SAMPLES)
    assert pause.audio.dtype == np.float32
    assert frames.mean(axis=1).tolist() == [0.25] * 5 + [0.0] * 4 + [-0.5]


class Glancing(Obedient):
    """Knows at a glance that "yes" is enough, and nothing of what it is waiting for."""

    def __init__(self) -> None:
        super().__init__()
        self.glanced: list[Pause] = []

    def glance(self, pause: Pause) -> Glance:
        self.glanced.append(pause)
        is_enough = pause.transcript is not None and pause.transcript.text == "yes"
        return Glance(Judgement(0.9 if is_enough else 0.6), is_enough)


@pytest.fixture
def glancing(told):
    predictor = Glancing()

    @asynccontextmanager
    async def listening() -> AsyncGenerator[tuple[Judging, Glancing]]:
        async def tell(event: TurnEndPredicted) -> None:
            told.append(event)

        worker = EngineWorker("turn-end", 4)
        try:
            async with asyncio.TaskGroup() as tasks:
                yield Judging(predictor, worker, "en", tasks, tell), predictor
        finally:
            predictor.may_answer.set()
            worker.close()

    return listening


def probabilities(told: list[TurnEndPredicted]) -> list[float]:
    return [event.probability for event in told]


async def test_a_glance_is_told_before_anybody_has_listened(glancing, told):
    async with glancing() as (judging, predictor):
        predictor.may_answer.clear()
        predictor.answers = [0.2]
        speak(judging, 0, 1600)
        judging.due(PauseReached(1600, 224))
        await asyncio.sleep(0.05)
        assert probabilities(told) == [0.6]
        predictor.may_answer.set()
    assert probabilities(told) == [0.6, 0.2]
    assert predictor.glanced[0].audio.size == 0


async def test_what_is_enough_at_a_glance_is_not_listened_to(glancing, told):
    async with glancing() as (judging, predictor):
        speak(judging, 0, 1600)
        judging.read(PartialTranscript("yes", 1600))
        judging.due(PauseReached(1600, 224))
    assert probabilities(told) == [0.9]
    assert predictor.asked == []


async def test_a_glance_at_newer_words_counts_more_than_an_older_voice(glancing, told):
    async with glancing() as (judging, predictor):
        predictor.may_answer.clear()
        predictor.answers = [0.1]
        speak(judging, 0, 1600)
        judging.due(PauseReached(1600, 224))
        await asyncio.sleep(0.05)
        judging.read(PartialTranscript("yes", 1600))
        await asyncio.sleep(0.05)
        predictor.may_answer.set()
    assert probabilities(told) == [0.6, 0.9]


async def test_after_the_voice_a_longer_silence_is_no_matter_of_glances(glancing, told):
    async with glancing() as (judging, predictor):
        predictor.answers = [0.2, 0.4]
        speak(judging, 0, 1600)
        judging.due(PauseReached(1600, 224))
        await until(lambda: probabilities(told) == [0.6, 0.2])
        judging.due(PauseReached(1600, 512))
    assert probabilities(told) == [0.6, 0.2, 0.4]
    assert len(predictor.glanced) == 1
