"""Running things together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from service_kit.errors import root_cause


async def run_together(*work: Coroutine[Any, Any, None]) -> None:
    """Run until all are done. The first failure ends the others and is raised as itself, not as a group."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in work:
                group.create_task(coroutine)
    except BaseExceptionGroup as failures:
        raise root_cause(failures) from failures


async def end(task: asyncio.Task[None] | None) -> None:
    """Cancel a task that works until then, and wait for it. One that broke by itself is a bug: its error is raised."""
    if task is None:
        return
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.result()
