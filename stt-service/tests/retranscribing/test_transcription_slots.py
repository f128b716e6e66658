"""Priority of finals over partials for the transcription slots."""

from __future__ import annotations

import asyncio

from stt_service.retranscribing.transcription_slots import TranscriptionSlots


async def test_a_final_cancels_only_the_newest_partial() -> None:
    slots = TranscriptionSlots(2)
    ended: list[str] = []
    first_final_done = asyncio.Event()

    async def show(name: str) -> None:
        try:
            async with slots.partial_slot() as granted:
                assert granted
                await asyncio.sleep(10)
        finally:
            ended.append(name)

    async with asyncio.TaskGroup() as tasks:
        older = tasks.create_task(show("older"))
        tasks.create_task(show("newer"))
        await asyncio.sleep(0)
        async with slots.final_slot():
            assert ended == ["newer"]
            async with slots.partial_slot() as granted:
                assert not granted
            first_final_done.set()
        older.cancel()
    assert ended == ["newer", "older"]


async def test_finals_get_slots_in_order() -> None:
    slots = TranscriptionSlots(1)
    order: list[int] = []

    async def read(number: int) -> None:
        async with slots.final_slot():
            order.append(number)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(read(number))
    assert order == [0, 1, 2, 3, 4]


async def test_a_cancelled_final_frees_its_slot() -> None:
    slots = TranscriptionSlots(1)

    async def wait() -> None:
        async with slots.final_slot():
            pass

    async with slots.final_slot():
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait((waiting,))
    async with asyncio.timeout(1), slots.final_slot():
        pass
