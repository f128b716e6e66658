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
