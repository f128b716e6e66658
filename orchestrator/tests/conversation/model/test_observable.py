"""A value with change notification."""

from __future__ import annotations

import asyncio

import pytest
from orchestrator.conversation.model.observable import Observable

pytestmark = pytest.mark.virtual_clock


async def test_a_known_value_is_waited_on_and_another_is_returned_at_once():
    observable = Observable(1)
    assert await observable.wait_for_change(0) == 1
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await observable.wait_for_change(1)


async def test_a_change_wakes_all_readers():
    observable = Observable("a")
    readers = [asyncio.create_task(observable.wait_for_change("a")) for _ in range(3)]
    await asyncio.sleep(0)
    observable.set("b")
    assert await asyncio.gather(*readers) == ["b", "b", "b"]
    assert observable.value == "b"


async def test_an_equal_value_wakes_no_reader():
    observable = Observable(("a",))
    reader = asyncio.create_task(observable.wait_for_change(("a",)))
    await asyncio.sleep(0)
    observable.set(("a",))
    await asyncio.sleep(1)
    assert not reader.done()
    observable.set(())
    assert await reader == ()


async def test_a_slow_reader_sees_only_the_newest_value():
    observable = Observable(0)
    reader = asyncio.create_task(observable.wait_for_change(0))
    await asyncio.sleep(0)
    for value in (1, 2, 3):
        observable.set(value)
    assert await reader == 3


async def test_a_value_that_changed_back_is_waited_on():
    observable = Observable(0)
    reader = asyncio.create_task(observable.wait_for_change(0))
    await asyncio.sleep(0)
    observable.set(1)
    observable.set(0)
    await asyncio.sleep(1)
    assert not reader.done()
    observable.set(2)
    assert await reader == 2
