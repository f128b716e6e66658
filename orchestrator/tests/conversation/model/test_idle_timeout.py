"""The idle timeout: reset, suspended and paused."""

from __future__ import annotations

import asyncio

import pytest
from orchestrator.conversation.model.idle_timeout import IdleTimeout

pytestmark = pytest.mark.virtual_clock


async def test_timeout_expires_without_a_reset() -> None:
    with pytest.raises(TimeoutError):
        async with IdleTimeout(0.02):
            await asyncio.sleep(5)


async def test_reset_and_suspend_prevent_the_timeout() -> None:
    async with IdleTimeout(0.05) as timeout:
        for _ in range(6):
            await asyncio.sleep(0.02)
            timeout.reset()
        timeout.suspend()
        await asyncio.sleep(0.1)
        timeout.reset()


async def test_timeout_expires_after_suspend_and_reset() -> None:
    async def suspend_and_hang() -> None:
        async with IdleTimeout(0.03) as timeout:
            timeout.suspend()
            await asyncio.sleep(0.05)
            timeout.reset()
            await asyncio.sleep(5)

    with pytest.raises(TimeoutError):
        await suspend_and_hang()


async def test_timeout_does_not_expire_while_paused() -> None:
    paused = [True, True, False]
    with pytest.raises(TimeoutError):
        async with IdleTimeout(0.01, lambda: paused.pop(0)):
            await asyncio.sleep(5)
    assert paused == []


async def test_a_late_item_is_reported_once_in_each_wait() -> None:
    late_at_s: list[float] = []
    now_s = asyncio.get_running_loop().time

    async def wait_twice() -> None:
        async with IdleTimeout(6, late_s=2, on_late=lambda: late_at_s.append(now_s())) as timeout:
            await asyncio.sleep(5)
            timeout.reset()
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        await wait_twice()
    assert late_at_s == [2, 7]
    assert now_s() == 11


async def test_nothing_is_late_while_paused() -> None:
    late: list[bool] = []
    async with IdleTimeout(6, lambda: True, late_s=2, on_late=lambda: late.append(True)):
        await asyncio.sleep(30)
    assert late == []
