"""A deadline that can be put off, suspended and excused."""

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
    async with IdleTimeout(0.05) as deadline:
        for _ in range(6):
            await asyncio.sleep(0.02)
            deadline.reset()
        deadline.suspend()
        await asyncio.sleep(0.1)
        deadline.reset()


async def test_timeout_expires_after_suspend_and_reset() -> None:
    async def rest_and_hang() -> None:
        async with IdleTimeout(0.03) as deadline:
            deadline.suspend()
            await asyncio.sleep(0.05)
            deadline.reset()
            await asyncio.sleep(5)

    with pytest.raises(TimeoutError):
        await rest_and_hang()


async def test_timeout_does_not_expire_while_paused() -> None:
    excused = [True, True, False]
    with pytest.raises(TimeoutError):
        async with IdleTimeout(0.01, lambda: excused.pop(0)):
            await asyncio.sleep(5)
    assert excused == []
