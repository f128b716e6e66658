"""Reads the server's responses to hostile clients."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from grpc import aio
from service_kit.errors import ERROR_CODE_KEY
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

# The server closes most hostile connections within 10 s.
WITHIN_S = 60


async def wait_for_message(socket: ClientConnection, name: str) -> dict[str, Any]:
    """The next message of this type. Fails when the socket closes before."""
    async with asyncio.timeout(WITHIN_S):
        async for frame in socket:
            if isinstance(frame, str) and (message := json.loads(frame))["type"] == name:
                return message
    raise AssertionError(f"no {name} before the socket closed: {socket.close_code} {socket.close_reason}")


async def wait_closed(socket: ClientConnection) -> tuple[int | None, str | None]:
    """Read until the server closes the socket; return the close code and reason."""
    try:
        async with asyncio.timeout(WITHIN_S):
            async for _ in socket:
                pass
    except ConnectionClosed:
        pass
    return socket.close_code, socket.close_reason


async def read_until_error(call: Any) -> tuple[list[Any], aio.AioRpcError]:
    """Read a call to its end; return the messages and the final error. Fails when it ends without one."""
    messages: list[Any] = []
    try:
        async with asyncio.timeout(WITHIN_S):
            while (message := await call.read()) is not aio.EOF:
                messages.append(message)
    except aio.AioRpcError as error:
        return messages, error
    raise AssertionError(f"the call ended without an error: {messages}")


def error_code(error: aio.AioRpcError) -> str | None:
    """The error code in the trailing metadata."""
    return dict(error.trailing_metadata() or ()).get(ERROR_CODE_KEY)
