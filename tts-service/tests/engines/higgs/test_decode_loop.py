"""The decode loop over slots in memory: who gets which frames, and what leaving, ending and breaking do."""

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
from tts_service.engines.higgs.model.delay import Codebooks, Codes, apply_delay
from tts_service.engines.higgs.prompt import PhrasePrompt

BOOKS = Codebooks(4, 100, 101)
ROOM = 200


class RecordedSlots:
    """Slots that speak the frames that a text names, for ever for an empty one."""

    def __init__(self) -> None:
        self.rows: list[list[Codes]] = [[], []]
        self.stepped: list[frozenset[int]] = []
        self.breaks = False
        # Held by a test to keep a step from ending.
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
            if self.breaks:
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


def saying(text: str, seed: int = 0) -> PhrasePrompt:
    return PhrasePrompt(text, "v", (None,), seed)


async def spoken(loop: DecodeLoop, text: str, seed: int = 0, cap: int = 1000) -> list[list[int]]:
    async with loop.decode_phrase(saying(text, seed), cap) as frames:
        return [frame.tolist() async for frame in frames]


async def test_a_phrase_is_all_its_frames(loop: DecodeLoop) -> None:
    assert await spoken(loop, "3") == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]]
    assert loop.free_slots == 2


async def test_phrases_side_by_side_are_as_if_alone(loop: DecodeLoop, slots: RecordedSlots) -> None:
    first, second = await asyncio.gather(spoken(loop, "30", 1), spoken(loop, "40", 2))
    assert first == await spoken(loop, "30", 1)
    assert second == await spoken(loop, "40", 2)
    assert frozenset({0, 1}) in slots.stepped


async def test_leaving_frees_the_slot_before_the_next_step(loop: DecodeLoop, slots: RecordedSlots) -> None:
    async with loop.decode_phrase(saying(""), 1000) as frames:
        await anext(frames)
        slots.gate.acquire()
        assert loop.free_slots == 1
    assert loop.free_slots == 2
    steps = len(slots.stepped)
    slots.gate.release()
    await asyncio.sleep(0.05)
    # The one that was under way.
    assert len(slots.stepped) <= steps + 1


async def test_a_slot_given_on_during_a_step_gets_nothing_of_it(loop: DecodeLoop, slots: RecordedSlots) -> None:
    async with loop.decode_phrase(saying("", 50), 1000) as frames:
        await anext(frames)
        other = asyncio.create_task(spoken(loop, "20", 7))
        await asyncio.sleep(0)
        slots.gate.acquire()
    third = asyncio.create_task(spoken(loop, "20", 9))
    await asyncio.sleep(0.02)
    slots.gate.release()
    assert (await third)[0] == [9, 10, 11, 12]
    assert (await other)[0] == [7, 8, 9, 10]


async def test_cancelling_frees_the_slot(loop: DecodeLoop, slots: RecordedSlots) -> None:
    speaking = asyncio.create_task(spoken(loop, "", cap=10**6))
    while not slots.stepped:
        await asyncio.sleep(0)
    speaking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await speaking
    assert loop.free_slots == 2
    assert len(await spoken(loop, "5")) == 5


async def test_no_phrase_is_longer_than_its_cap(loop: DecodeLoop) -> None:
    assert len(await spoken(loop, "", cap=17)) == 17


async def test_no_phrase_outgrows_the_room_in_the_context(loop: DecodeLoop) -> None:
    # The first frame is whole with the fourth row.
    assert len(await spoken(loop, "", cap=1000)) == ROOM - 3


async def test_a_voice_stuck_on_one_frame_is_cut(loop: DecodeLoop, slots: RecordedSlots) -> None:
    async with loop.decode_phrase(saying(""), 1000) as frames:
        slots.rows[0] = [np.full(4, 5)] * ROOM
        # Some rows may have been made before the voice got stuck.
        assert 25 <= len([frame async for frame in frames]) < ROOM - 3


async def test_a_phrase_that_finds_no_slot_is_refused(slots: RecordedSlots, worker: EngineWorker) -> None:
    short = DecodeLoop(slots, BOOKS, worker, slot_timeout_s=0.02)
    async with short.decode_phrase(saying("5"), 10), short.decode_phrase(saying("5"), 10):
        with pytest.raises(AtCapacity, match="slots_busy"):
            await spoken(short, "5")
    assert short.free_slots == 2


async def test_a_broken_model_fails_every_phrase_and_the_loop(slots: RecordedSlots, worker: EngineWorker) -> None:
    loop = DecodeLoop(slots, BOOKS, worker)
    running = asyncio.create_task(loop.run())
    async with loop.decode_phrase(saying(""), 1000) as first, loop.decode_phrase(saying(""), 1000) as second:
        await anext(first)
        slots.breaks = True
        for frames in (first, second):
            with pytest.raises(EngineFailed, match="the speech model failed"):
                async for _ in frames:
                    pass
    with pytest.raises(RuntimeError):
        await running
    assert loop.free_slots == 2
