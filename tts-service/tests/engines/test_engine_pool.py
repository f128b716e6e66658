"""The pool of engine instances: reservation, waiting, release."""

from __future__ import annotations

import asyncio

import pytest
from service_kit.errors import AtCapacity
from tts_service.engines.engine_pool import EnginePool


async def test_each_instance_is_used_by_one_phrase() -> None:
    pool = EnginePool(("a", "b"))
    async with pool.acquire() as first, pool.acquire() as second:
        assert {first, second} == {"a", "b"}
        assert pool.free_count == 0
    assert pool.free_count == 2


async def test_waiting_phrases_are_served_in_order() -> None:
    pool = EnginePool(("a",), timeout_s=5)
    order: list[str] = []

    async def speak(name: str) -> None:
        async with pool.acquire():
            order.append(name)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        for name in ("first", "second", "third"):
            tasks.create_task(speak(name))
    assert order == ["first", "second", "third"]


async def test_phrase_is_refused_after_the_timeout() -> None:
    pool = EnginePool(("a",), timeout_s=0.01)
    async with pool.acquire():
        with pytest.raises(AtCapacity, match="slots_busy"):
            async with pool.acquire():
                pass
    async with pool.acquire() as engine:
        assert engine == "a"


async def test_failed_or_cancelled_phrase_releases_its_instance() -> None:
    pool = EnginePool(("a",), timeout_s=0.01)
    with pytest.raises(ValueError, match="broken"):
        async with pool.acquire():
            raise ValueError("broken")

    async def speak_on() -> None:
        async with pool.acquire():
            await asyncio.Event().wait()

    speaking = asyncio.create_task(speak_on())
    await asyncio.sleep(0)
    speaking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await speaking
    assert pool.free_count == 1
