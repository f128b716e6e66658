"""Running things together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from service_kit.errors import root_cause

log = logging.getLogger(__name__)


async def run_together(*work: Coroutine[Any, Any, None]) -> None:
    """Run until all are done. The first failure ends the others and is raised as itself, not as a group."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in work:
                group.create_task(coroutine)
    except BaseExceptionGroup as failures:
        raise root_cause(failures) from failures


def start_task(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Start work that goes on until `end`. If it breaks before, the log says so at once: `end` may be days away."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_log_failure)
    return task


async def stop_task(task: asyncio.Task[None] | None) -> None:
    """Cancel a task that works until then, and wait for it. One that broke by itself is a bug: its error is raised."""
    if task is None:
        return
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.result()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("background work broke", extra={"task": task.get_name()}, exc_info=error)
