"""Slots of microphone streams: who speaks keeps one, who is silent or gone gives way."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from service_kit.errors import AtCapacity
from stt_service.stream_slots import StreamSlots

pytestmark = pytest.mark.virtual_clock


async def stream(slots: StreamSlots, opened: list[str], name: str, speaks_s: float = 0.0) -> None:
    """A stream that gets audio for a while, and then stays open until its slot is taken."""
    async with slots.reserve() as slot:
        opened.append(name)
        until_s = asyncio.get_running_loop().time() + speaks_s
        while asyncio.get_running_loop().time() < until_s:
            slot.on_audio()
            await asyncio.sleep(0.1)
        await slot.wait_revoked()


async def test_an_idle_stream_gives_way_and_the_longest_idle_first() -> None:
    slots, opened = StreamSlots(2), []
    silent = asyncio.create_task(stream(slots, opened, "silent"))
    spoke = asyncio.create_task(stream(slots, opened, "spoke", speaks_s=5))
    await asyncio.sleep(10)
    third = asyncio.create_task(stream(slots, opened, "third"))
    await asyncio.wait((silent,))
    assert isinstance(refusal := silent.exception(), AtCapacity)
    assert refusal.code == "stt.idle"
    assert not spoke.done()
    fourth = asyncio.create_task(stream(slots, opened, "fourth"))
    await asyncio.wait((spoke,))
    assert opened == ["silent", "spoke", "third", "fourth"]
    for task in (third, fourth):
        task.cancel()
    await asyncio.wait((third, fourth))


async def test_a_stream_in_use_keeps_its_slot() -> None:
    slots = StreamSlots(1)
    async with slots.reserve() as slot:
        for use in (slot.on_audio, slot.on_flush, slot.on_audio):
            use()
            await asyncio.sleep(1.9)
            with pytest.raises(AtCapacity) as refused:
                async with slots.reserve():
                    pytest.fail("two streams held one slot")
            assert refused.value.code == "stt.at_capacity"


async def test_a_stream_that_waits_for_its_final_is_in_use() -> None:
    slots = StreamSlots(1)
    async with slots.reserve() as slot, AsyncExitStack() as others:
        slot.on_flush()
        await asyncio.sleep(9)
        with pytest.raises(AtCapacity):
            await others.enter_async_context(slots.reserve())
        slot.on_final()
        # A stream that does not close is not waited for longer than two seconds.
        began_s = asyncio.get_running_loop().time()
        await others.enter_async_context(slots.reserve())
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(2)
        with pytest.raises(AtCapacity):
            await slot.wait_revoked()


async def test_a_closed_stream_frees_its_slot() -> None:
    slots = StreamSlots(1)
    for _ in range(3):
        async with slots.reserve():
            pass
