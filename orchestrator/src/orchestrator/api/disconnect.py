"""Work for a caller ends when the caller has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from service_kit.errors import AnchorError, root_cause
from starlette.requests import Request

Result = TypeVar("Result")


class ClientDisconnected(AnchorError):
    """The caller has gone; nobody is there to be told."""

    http_status = 499

    def __init__(self) -> None:
        super().__init__("session.hung_up", "the caller has gone")


async def wait_disconnected(request: Request) -> None:
    """Wait until the caller of a request that was read to its end has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def run_unless_disconnected(gone: Callable[[], Awaitable[None]], work: Coroutine[Any, Any, Result]) -> Result:
    """The result of `work`, which is cancelled when `gone` ends or raises first. Raises `HungUp` then."""
    try:
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(_raise_after(gone))
            result = await work
            watch.cancel()
        return result
    except ExceptionGroup as group:
        raise root_cause(group) from group


async def _raise_after(gone: Callable[[], Awaitable[None]]) -> None:
    await gone()
    raise ClientDisconnected
