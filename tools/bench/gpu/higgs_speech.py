"""Times concurrent phrases through the engine's decode loop and codec: first audio, and total."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from statistics import mean, median

import numpy as np
from service_kit.engines.worker import EngineWorker
from tts_service.engines.higgs.decode_loop import DecodeLoop
from tts_service.engines.higgs.delay import Codebooks, FrameAssembler
from tts_service.engines.higgs.model.codec import CodecDecoder
from tts_service.engines.higgs.prompt import PhrasePrompt
from tts_service.engines.higgs.windowing import FrameWindower

from gpu.higgs_steps import TEXT, Speaker
from gpu.results import SpeechTimes
from gpu.roofline import FRAMES_PER_S

# The same queue length as in the engine.
_WAITING_PER_SLOT = 4


@dataclass(frozen=True, slots=True)
class PhraseTimes:
    """The times of one phrase since its request, in ms."""

    first_audio_ms: float
    total_ms: float
    frames: int


def steps_to_first_audio(books: Codebooks) -> int:
    """Steps until the first window of a phrase can be decoded, by the engine's own rules."""
    assembler, emission = FrameAssembler(books), FrameWindower()
    row = np.zeros(books.count, np.int64)
    steps = 0
    while True:
        steps += 1
        frame = assembler.push_row(row)
        if frame is not None and emission.push_frame(frame) is not None:
            return steps


async def measure_speech(speaker: Speaker, codec: CodecDecoder, weights: str, frames: int, rounds: int) -> SpeechTimes:
    """Fill all slots with phrases of `frames` frames, `rounds` times after one warm-up round."""
    worker = EngineWorker("bench", _WAITING_PER_SLOT * speaker.slots.count)
    loop = DecodeLoop(speaker.slots, speaker.model.books, worker)
    spoken: list[PhraseTimes] = []
    try:
        async with asyncio.TaskGroup() as tasks:
            stepping = tasks.create_task(loop.run())
            await _round(loop, codec, worker, speaker.slots.count, frames)
            for _ in range(rounds):
                spoken += await _round(loop, codec, worker, speaker.slots.count, frames)
            stepping.cancel()
    finally:
        worker.close()
    first = [one.first_audio_ms for one in spoken]
    factors = [one.total_ms / 1000 / (one.frames / FRAMES_PER_S) for one in spoken]
    return SpeechTimes(weights, speaker.slots.count, len(spoken), median(first), max(first), mean(factors))


async def _round(
    loop: DecodeLoop, codec: CodecDecoder, worker: EngineWorker, count: int, frames: int
) -> list[PhraseTimes]:
    async with asyncio.TaskGroup() as tasks:
        speaking = [tasks.create_task(_speak(loop, codec, worker, seed, frames)) for seed in range(count)]
    return [task.result() for task in speaking]


async def _speak(
    loop: DecodeLoop, codec: CodecDecoder, worker: EngineWorker, seed: int, max_frames: int
) -> PhraseTimes:
    """Time one phrase, decoded window by window as in the engine."""
    begin = time.perf_counter()
    emission, first_ms, count = FrameWindower(), 0.0, 0
    async with loop.decode_phrase(PhrasePrompt(TEXT, "own", (None,), seed), max_frames) as frames:
        async for frame in frames:
            count += 1
            if (window := emission.push_frame(frame)) is not None:
                await worker.run(partial(codec.decode_window, window))
                first_ms = first_ms or _since_ms(begin)
        if (window := emission.flush()) is not None:
            await worker.run(partial(codec.decode_window, window))
    return PhraseTimes(first_ms, _since_ms(begin), count)


def _since_ms(begin: float) -> float:
    return (time.perf_counter() - begin) * 1000
