"""Places to speak: lent one at a time, given back however it ends."""

from __future__ import annotations

import asyncio

import pytest
from service_kit.errors import AtCapacity
from tts_service.engines.engine_pool import EnginePool


async def test_each_speaker_is_lent_to_one_phrase() -> None:
    places = EnginePool(("a", "b"))
    async with places.acquire() as first, places.acquire() as second:
        assert {first, second} == {"a", "b"}
        assert places.free_count == 0
    assert places.free_count == 2


async def test_who_comes_late_gets_the_first_that_is_free() -> None:
    places = EnginePool(("a",), timeout_s=5)
    order: list[str] = []

    async def speak(name: str) -> None:
        async with places.acquire():
            order.append(name)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        for name in ("first", "second", "third"):
            tasks.create_task(speak(name))
    assert order == ["first", "second", "third"]


async def test_who_has_waited_too_long_is_refused() -> None:
    places = EnginePool(("a",), timeout_s=0.01)
    async with places.acquire():
        with pytest.raises(AtCapacity, match="slots_busy"):
            async with places.acquire():
                pass
    async with places.acquire() as speaker:
        assert speaker == "a"


async def test_a_phrase_that_fails_or_is_cancelled_gives_its_place_back() -> None:
    places = EnginePool(("a",), timeout_s=0.01)
    with pytest.raises(ValueError, match="broken"):
        async with places.acquire():
            raise ValueError("broken")

    async def speak_on() -> None:
        async with places.acquire():
            await asyncio.Event().wait()

    speaking = asyncio.create_task(speak_on())
    await asyncio.sleep(0)
    speaking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await speaking
    assert places.free_count == 1
