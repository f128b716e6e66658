"""Starting, stopping and combining asyncio tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from service_kit.errors import root_cause

log = logging.getLogger(__name__)


async def run_together(*work: Coroutine[Any, Any, None]) -> None:
    """Run all of `work` to its end. The first failure cancels the rest and is raised by itself, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in work:
                group.create_task(coroutine)
    except BaseExceptionGroup as failures:
        raise root_cause(failures) from failures


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None], name: str) -> AsyncGenerator[asyncio.Task[None]]:
    """Run `work` in a task named `name` inside the context and stop it on exit; yields the task.

    `work` should run until it is cancelled. When it fails earlier, the error is logged at once, and leaving the context
    raises it. Cancelling the body is safe: the task is stopped.
    """
    task = start_task(work, name)
    try:
        yield task
    finally:
        await stop_task(task)


def start_task(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Start `work` in a task that runs until `stop_task`. A failure is logged at once: `stop_task` may be days away."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_log_failure)
    return task


async def stop_task(task: asyncio.Task[None] | None) -> None:
    """Cancel `task` and wait for its end; None is ignored. Raises the error of a task that had failed."""
    if task is None:
        return
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.result()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("background work broke", extra={"task": task.get_name()}, exc_info=error)
