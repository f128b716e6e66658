"""The decode loop over fake slots: distribution of frames, cancellation, limits and failures."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import suppress

import numpy as np
import pytest
from service_kit.engines.worker import EngineWorker
from service_kit.errors import AtCapacity, EngineFailed
from tts_service.engines.higgs.decode_loop import DecodeLoop
from tts_service.engines.higgs.delay import Codebooks, Codes, apply_delay
from tts_service.engines.higgs.prompt import PhrasePrompt

BOOKS = Codebooks(4, 100, 101)
ROOM = 200


class RecordedSlots:
    """Fake slots: a prompt's text is its number of frames; empty text never ends."""

    def __init__(self) -> None:
        self.rows: list[list[Codes]] = [[], []]
        self.stepped: list[frozenset[int]] = []
        self.fails = False
        # A test holds it to block a step.
        self.gate = threading.Lock()

    @property
    def count(self) -> int:
        return 2

    def prefill(self, slot: int, prompt: PhrasePrompt) -> int:
        count = int(prompt.text or 10_000)
        frames = (np.arange(count)[:, None] + np.arange(4) + prompt.seed) % 100
        self.rows[slot] = list(apply_delay(frames, BOOKS)[1:])
        return ROOM

    def step(self, active: frozenset[int]) -> Codes:
        with self.gate:
            self.stepped.append(active)
            if self.fails:
                raise RuntimeError("out of memory")
            return np.stack([self.rows[slot].pop(0) if slot in active else np.zeros(4, int) for slot in (0, 1)])


@pytest.fixture
def slots() -> RecordedSlots:
    return RecordedSlots()


@pytest.fixture
async def worker() -> AsyncGenerator[EngineWorker]:
    made = EngineWorker("slots", 8)
    yield made
    made.close()


@pytest.fixture
async def loop(slots: RecordedSlots, worker: EngineWorker) -> AsyncGenerator[DecodeLoop]:
    made = DecodeLoop(slots, BOOKS, worker)
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    with suppress(asyncio.CancelledError, RuntimeError):
        await running


def prompt_for(text: str, seed: int = 0) -> PhrasePrompt:
    return PhrasePrompt(text, "v", (None,), seed)


async def decode(loop: DecodeLoop, text: str, seed: int = 0, max_frames: int = 1000) -> list[list[int]]:
    async with loop.decode_phrase(prompt_for(text, seed), max_frames) as frames:
        return [frame.tolist() async for frame in frames]


async def test_phrase_yields_all_its_frames(loop: DecodeLoop) -> None:
    assert await decode(loop, "3") == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]]
    assert loop.free_slots == 2


async def test_concurrent_phrases_equal_phrases_alone(loop: DecodeLoop, slots: RecordedSlots) -> None:
    first, second = await asyncio.gather(decode(loop, "30", 1), decode(loop, "40", 2))
    assert first == await decode(loop, "30", 1)
    assert second == await decode(loop, "40", 2)
    assert frozenset({0, 1}) in slots.stepped


async def test_leaving_frees_the_slot_before_the_next_step(loop: DecodeLoop, slots: RecordedSlots) -> None:
    async with loop.decode_phrase(prompt_for(""), 1000) as frames:
        await anext(frames)
        slots.gate.acquire()
        assert loop.free_slots == 1
    assert loop.free_slots == 2
    steps = len(slots.stepped)
    slots.gate.release()
    await asyncio.sleep(0.05)
    # The step that was already running.
    assert len(slots.stepped) <= steps + 1


async def test_slot_reused_during_a_step_gets_no_old_row(loop: DecodeLoop, slots: RecordedSlots) -> None:
    async with loop.decode_phrase(prompt_for("", 50), 1000) as frames:
        await anext(frames)
        other = asyncio.create_task(decode(loop, "20", 7))
        await asyncio.sleep(0)
        slots.gate.acquire()
    third = asyncio.create_task(decode(loop, "20", 9))
    await asyncio.sleep(0.02)
    slots.gate.release()
    assert (await third)[0] == [9, 10, 11, 12]
    assert (await other)[0] == [7, 8, 9, 10]


async def test_cancelling_frees_the_slot(loop: DecodeLoop, slots: RecordedSlots) -> None:
    speaking = asyncio.create_task(decode(loop, "", max_frames=10**6))
    while not slots.stepped:
        await asyncio.sleep(0)
    speaking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await speaking
    assert loop.free_slots == 2
    assert len(await decode(loop, "5")) == 5


async def test_phrase_ends_at_its_frame_limit(loop: DecodeLoop) -> None:
    assert len(await decode(loop, "", max_frames=17)) == 17


async def test_phrase_ends_at_the_end_of_the_context(loop: DecodeLoop) -> None:
    # The fourth row completes the first frame.
    assert len(await decode(loop, "", max_frames=1000)) == ROOM - 3


async def test_phrase_stuck_on_one_frame_is_truncated(loop: DecodeLoop, slots: RecordedSlots) -> None:
    async with loop.decode_phrase(prompt_for(""), 1000) as frames:
        slots.rows[0] = [np.full(4, 5)] * ROOM
        # Some rows may precede the stuck ones.
        assert 25 <= len([frame async for frame in frames]) < ROOM - 3


async def test_phrase_without_a_free_slot_is_refused(slots: RecordedSlots, worker: EngineWorker) -> None:
    short = DecodeLoop(slots, BOOKS, worker, slot_timeout_s=0.02)
    async with short.decode_phrase(prompt_for("5"), 10), short.decode_phrase(prompt_for("5"), 10):
        with pytest.raises(AtCapacity, match="slots_busy"):
            await decode(short, "5")
    assert short.free_slots == 2


async def test_model_failure_fails_all_phrases_and_the_loop(slots: RecordedSlots, worker: EngineWorker) -> None:
    loop = DecodeLoop(slots, BOOKS, worker)
    running = asyncio.create_task(loop.run())
    async with loop.decode_phrase(prompt_for(""), 1000) as first, loop.decode_phrase(prompt_for(""), 1000) as second:
        await anext(first)
        slots.fails = True
        for frames in (first, second):
            with pytest.raises(EngineFailed, match="the speech model failed"):
                async for _ in frames:
                    pass
    with pytest.raises(RuntimeError):
        await running
    assert loop.free_slots == 2
