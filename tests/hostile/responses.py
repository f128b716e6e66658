"""What hostile clients are told, and how it ends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from grpc import aio
from service_kit.errors import ERROR_CODE_KEY
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

# The server ends most of what is hostile within 10 s.
WITHIN_S = 60


async def told(socket: ClientConnection, name: str) -> dict[str, Any]:
    """The next message of this name."""
    async with asyncio.timeout(WITHIN_S):
        async for frame in socket:
            if isinstance(frame, str) and (message := json.loads(frame))["type"] == name:
                return message
    raise AssertionError(f"no {name} before the socket closed: {socket.close_code} {socket.close_reason}")


async def ending(socket: ClientConnection) -> tuple[int | None, str | None]:
    """How the server closes the socket."""
    try:
        async with asyncio.timeout(WITHIN_S):
            async for _ in socket:
                pass
    except ConnectionClosed:
        pass
    return socket.close_code, socket.close_reason


async def grpc_ending(call: Any) -> tuple[list[Any], aio.AioRpcError]:
    """What the server still says in this call, and the error that it ends with."""
    messages: list[Any] = []
    try:
        async with asyncio.timeout(WITHIN_S):
            while (message := await call.read()) is not aio.EOF:
                messages.append(message)
    except aio.AioRpcError as error:
        return messages, error
    raise AssertionError(f"the call ended well: {messages}")


def error_code(error: aio.AioRpcError) -> str | None:
    """The stable code beside the status."""
    return dict(error.trailing_metadata() or ()).get(ERROR_CODE_KEY)
