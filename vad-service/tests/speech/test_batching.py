"""Frames of many microphones share model calls without changing their results."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from service_kit.audio import to_float
from service_kit.engines.info import EngineInfo
from service_kit.errors import EngineFailed
from vad_service.engine import FRAME_SAMPLES, FrameRequest
from vad_service.speech.batching import FrameBatcher


class BatchRecorder:
    """Returns the first sample of each frame and records the batch sizes. Raises at a negative sample."""

    info = EngineInfo("batch-recorder", "none", "1")

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def load(self) -> None: ...

    def new_state(self):
        return None

    def predict_batch(self, batch):
        self.sizes.append(len(batch))
        if any(request.frame[0] < 0 for request in batch):
            raise RuntimeError("a negative sample")
        return [float(request.frame[0]) for request in batch]


def frames_of(pcm: bytes) -> list[np.ndarray]:
    samples = to_float(pcm)
    return [samples[at : at + FRAME_SAMPLES] for at in range(0, len(samples) - FRAME_SAMPLES + 1, FRAME_SAMPLES)]


def frame(value: float) -> np.ndarray:
    return np.full(FRAME_SAMPLES, value, np.float32)


async def predict_all(model, batcher: FrameBatcher, frames: list[np.ndarray]) -> list[float]:
    state = model.new_state()
    return [await batcher.predict(FrameRequest(state, each)) for each in frames]


async def test_batched_results_equal_those_of_separate_calls(silero, utterance):
    frames = frames_of(utterance)
    # Each microphone gets the clip from another position, at another level.
    clips = [[each * (0.2 + 0.1 * nth) for each in frames[nth * 3 : nth * 3 + 40]] for nth in range(12)]
    alone = [await predict_all(silero, FrameBatcher(silero, 1, 0), each) for each in clips]
    batcher = FrameBatcher(silero, 8, 0)
    together = await asyncio.gather(*(predict_all(silero, batcher, each) for each in clips))
    assert np.allclose(alone, together, atol=1e-5)
    assert np.max(alone) > 0.9 > 0.1 > np.min(alone)


async def test_frames_that_wait_together_share_a_call():
    model = BatchRecorder()
    batcher = FrameBatcher(model, 64, 0)
    answers = await asyncio.gather(*(batcher.predict(FrameRequest(None, frame(nth))) for nth in range(10)))
    assert answers == list(range(10))
    assert model.sizes == [10]


async def test_frames_beyond_the_batch_size_wait_for_the_next_call():
    model = BatchRecorder()
    batcher = FrameBatcher(model, 4, 0)
    assert await asyncio.gather(*(batcher.predict(FrameRequest(None, frame(nth))) for nth in range(10))) == list(
        range(10)
    )
    assert model.sizes == [4, 4, 2]


async def test_wait_ms_lets_a_later_frame_share_the_call():
    model = BatchRecorder()
    batcher = FrameBatcher(model, 64, wait_ms=200)

    async def later() -> float:
        # A few loop iterations; without `wait_ms` the first frame is predicted within one.
        for _ in range(3):
            await asyncio.sleep(0)
        return await batcher.predict(FrameRequest(None, frame(2)))

    assert await asyncio.gather(batcher.predict(FrameRequest(None, frame(1))), later()) == [1, 2]
    assert model.sizes == [2]


async def test_a_cancelled_frame_is_not_predicted():
    model = BatchRecorder()
    batcher = FrameBatcher(model, 64, 0)
    leaving = asyncio.create_task(batcher.predict(FrameRequest(None, frame(1))))
    staying = asyncio.create_task(batcher.predict(FrameRequest(None, frame(2))))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 2
    assert model.sizes == [1]


async def test_a_model_error_fails_the_frames_of_that_call_only():
    model = BatchRecorder()
    batcher = FrameBatcher(model, 64, 0)
    results = await asyncio.gather(
        *(batcher.predict(FrameRequest(None, frame(value))) for value in (1, -1)), return_exceptions=True
    )
    assert [type(result) for result in results] == [EngineFailed, EngineFailed]
    assert isinstance(results[0].__cause__, RuntimeError)
    assert await batcher.predict(FrameRequest(None, frame(3))) == 3


@pytest.mark.parametrize("size", [1, 3])
async def test_a_reset_state_equals_a_new_one(silero, utterance, size: int):
    frames = frames_of(utterance)[30:45]
    states = [silero.new_state() for _ in range(size)]

    def predict() -> list[list[float]]:
        return [silero.predict_batch([FrameRequest(state, each) for state in states]) for each in frames]

    first = predict()
    for state in states:
        state.reset()
    assert np.allclose(predict(), first, atol=1e-6)
