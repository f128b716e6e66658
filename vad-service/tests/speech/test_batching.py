"""Frames of many microphones share calls, and nobody can tell from the answers."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from service_kit.audio import to_float
from service_kit.engines.info import EngineInfo
from service_kit.errors import EngineFailed
from vad_service.engine import FRAME_SAMPLES, Hearing
from vad_service.speech.batching import SharedModel


class Counting:
    """Answers the first sample of each frame; remembers how many came at once. Breaks at a negative one."""

    info = EngineInfo("counting", "none", "1")

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def load(self) -> None: ...

    def open(self):
        return None

    def judge(self, batch):
        self.sizes.append(len(batch))
        if any(hearing.frame[0] < 0 for hearing in batch):
            raise RuntimeError("a negative sample")
        return [float(hearing.frame[0]) for hearing in batch]


def frames_of(pcm: bytes) -> list[np.ndarray]:
    samples = to_float(pcm)
    return [samples[at : at + FRAME_SAMPLES] for at in range(0, len(samples) - FRAME_SAMPLES + 1, FRAME_SAMPLES)]


def frame(value: float) -> np.ndarray:
    return np.full(FRAME_SAMPLES, value, np.float32)


async def judge_all(model, shared: SharedModel, frames: list[np.ndarray]) -> list[float]:
    memory = model.open()
    return [await shared.judge(Hearing(memory, each)) for each in frames]


async def test_batched_microphones_hear_what_each_would_alone(silero, utterance):
    frames = frames_of(utterance)
    # Every microphone hears the clip from another place on, at another loudness.
    heard = [[each * (0.2 + 0.1 * nth) for each in frames[nth * 3 : nth * 3 + 40]] for nth in range(12)]
    alone = [await judge_all(silero, SharedModel(silero, 1, 0), each) for each in heard]
    shared = SharedModel(silero, 8, 0)
    together = await asyncio.gather(*(judge_all(silero, shared, each) for each in heard))
    assert np.allclose(alone, together, atol=1e-5)
    assert np.max(alone) > 0.9 > 0.1 > np.min(alone)


async def test_frames_that_wait_together_share_a_call():
    model = Counting()
    shared = SharedModel(model, 64, 0)
    answers = await asyncio.gather(*(shared.judge(Hearing(None, frame(nth))) for nth in range(10)))
    assert answers == list(range(10))
    assert model.sizes == [10]


async def test_more_than_a_batch_waits_for_the_next_call():
    model = Counting()
    shared = SharedModel(model, 4, 0)
    assert await asyncio.gather(*(shared.judge(Hearing(None, frame(nth))) for nth in range(10))) == list(range(10))
    assert model.sizes == [4, 4, 2]


async def test_a_frame_may_wait_for_company():
    model = Counting()
    shared = SharedModel(model, 64, wait_ms=200)

    async def later() -> float:
        # A few turns of the loop, where a frame that does not wait is judged within one.
        for _ in range(3):
            await asyncio.sleep(0)
        return await shared.judge(Hearing(None, frame(2)))

    assert await asyncio.gather(shared.judge(Hearing(None, frame(1))), later()) == [1, 2]
    assert model.sizes == [2]


async def test_a_microphone_that_left_is_not_judged():
    model = Counting()
    shared = SharedModel(model, 64, 0)
    leaving = asyncio.create_task(shared.judge(Hearing(None, frame(1))))
    staying = asyncio.create_task(shared.judge(Hearing(None, frame(2))))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 2
    assert model.sizes == [1]


async def test_a_broken_model_fails_every_frame_of_the_call_and_no_later_one():
    model = Counting()
    shared = SharedModel(model, 64, 0)
    results = await asyncio.gather(
        *(shared.judge(Hearing(None, frame(value))) for value in (1, -1)), return_exceptions=True
    )
    assert [type(result) for result in results] == [EngineFailed, EngineFailed]
    assert isinstance(results[0].__cause__, RuntimeError)
    assert await shared.judge(Hearing(None, frame(3))) == 3


@pytest.mark.parametrize("size", [1, 3])
async def test_forgetting_makes_a_memory_like_new(silero, utterance, size: int):
    frames = frames_of(utterance)[30:45]
    memories = [silero.open() for _ in range(size)]

    def judge() -> list[list[float]]:
        return [silero.judge([Hearing(memory, each) for memory in memories]) for each in frames]

    first = judge()
    for memory in memories:
        memory.forget()
    assert np.allclose(judge(), first, atol=1e-6)
