"""Starting, stopping and combining asyncio tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, NoReturn

from service_kit.errors import root_cause

log = logging.getLogger(__name__)


class TaskGroup(asyncio.TaskGroup):
    """A task group whose errors are freed by reference counting, with all that the frames of their tracebacks hold.

    Until Python 3.13, the frame of asyncio's own `__aexit__` refers to the error whose traceback refers to the frame.
    And a group refers to the task that it ran in, which refers by the traceback of its error to the frame of the group.
    """

    _parent_task: asyncio.Task[Any] | None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(kind, error, traceback)
        except (BaseExceptionGroup, asyncio.CancelledError) as failure:
            failure.__traceback__ = None
            raise
        finally:
            self._parent_task = None
            del error, traceback


def raise_root_cause(failures: BaseExceptionGroup[BaseException]) -> NoReturn:
    """Raise the first failure of a group by itself; call it where the group is caught.

    An exception that refers to its group refers to itself, and so to the frames of its traceback: only the garbage
    collector would free it, and what their variables hold.
    """
    failure = root_cause(failures)
    context = failure.__context__
    try:
        raise failure
    finally:
        failure.__context__ = context
        del failure, failures, context


async def run_together(*work: Coroutine[Any, Any, None]) -> None:
    """Run all of `work` to its end. The first failure cancels the rest and is raised by itself, not in a group."""
    try:
        async with TaskGroup() as group:
            for coroutine in work:
                group.create_task(coroutine)
    except BaseExceptionGroup as failures:
        raise_root_cause(failures)


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
