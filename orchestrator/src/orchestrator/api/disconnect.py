"""Cancels the work for a request when its client disconnects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from service_kit.errors import AnchorError
from service_kit.tasks import TaskGroup, raise_root_cause
from starlette.requests import Request

ResultT = TypeVar("ResultT")


class ClientDisconnected(AnchorError):
    """The client disconnected before the response; no response is sent."""

    http_status = 499

    def __init__(self) -> None:
        super().__init__("session.hung_up", "the client disconnected")


async def wait_disconnected(request: Request) -> None:
    """Wait until the client of a fully read request disconnects."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def run_unless_disconnected(
    disconnected: Callable[[], Awaitable[None]], work: Coroutine[Any, Any, ResultT]
) -> ResultT:
    """Return the result of `work`; cancel it when `disconnected` returns or raises first.

    Raises `ClientDisconnected` when `disconnected` returns, and whatever either of the two raises.
    """
    try:
        async with TaskGroup() as tasks:
            watch = tasks.create_task(_raise_after(disconnected))
            result = await work
            watch.cancel()
        return result
    except ExceptionGroup as group:
        raise_root_cause(group)


async def _raise_after(disconnected: Callable[[], Awaitable[None]]) -> None:
    await disconnected()
    raise ClientDisconnected
