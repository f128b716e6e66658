"""A WebSocket proxy that loses, doubles and swaps microphone frames, as a bad client or a bad gateway does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

# Every so many frames, one is lost, doubled, or swapped with the next.
EVERY = 5

Mangle = Callable[[bytes], Iterable[bytes]]


class Dropping:
    """Loses every fifth frame."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, frame: bytes) -> Iterable[bytes]:
        self._count += 1
        return () if self._count % EVERY == 0 else (frame,)


class Doubling:
    """Sends every fifth frame twice."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, frame: bytes) -> Iterable[bytes]:
        self._count += 1
        return (frame, frame) if self._count % EVERY == 0 else (frame,)


class Swapping:
    """Sends every fifth frame after the one that follows it."""

    def __init__(self) -> None:
        self._count = 0
        self._held: bytes | None = None

    def __call__(self, frame: bytes) -> Iterable[bytes]:
        self._count += 1
        if self._count % EVERY == 0:
            self._held = frame
            return ()
        held, self._held = self._held, None
        return (frame,) if held is None else (frame, held)


class MessageProxy:
    """Passes the messages of a WebSocket on, the client's binary ones through `mangle` when it is set."""

    def __init__(self, port: int, upstream_url: str = "") -> None:
        self.port = port
        self.upstream_url = upstream_url
        self.mangle: Mangle | None = None
        self._server: Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await serve(self._accept, "127.0.0.1", self.port, compression=None, ping_interval=None)

    async def close(self) -> None:
        """Stop listening and close all connections."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _accept(self, client: ServerConnection) -> None:
        async with connect(self.upstream_url, compression=None, max_size=1_048_576) as upstream:
            down = asyncio.create_task(self._pass_down(upstream, client))
            try:
                async for message in client:
                    mangled = self.mangle(message) if self.mangle and isinstance(message, bytes) else (message,)
                    for part in mangled:
                        await upstream.send(part)
            except ConnectionClosed:
                # The other end is told by closing its connection.
                pass
            finally:
                down.cancel()
                await asyncio.wait((down,))

    async def _pass_down(self, upstream: ClientConnection, client: ServerConnection) -> None:
        try:
            async for message in upstream:
                await client.send(message)
        except ConnectionClosed:
            pass
        if upstream.close_code in {None, CloseCode.ABNORMAL_CLOSURE}:
            client.transport.abort()
        else:
            await client.close(upstream.close_code, upstream.close_reason or "")
