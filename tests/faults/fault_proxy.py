"""A TCP proxy that damages a connection: cuts it, freezes it, or delays it. Otherwise it passes bytes unchanged.

It knows nothing of what it carries, so gRPC, HTTP and WebSockets pass through it alike.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

CHUNK_BYTES = 65_536
# Chunks on their way in one direction; beyond them the sender waits, as on a full line.
MAX_CHUNKS = 256

Chunk = tuple[float, bytes]


@dataclass(eq=False)
class Link:
    """One connection through the proxy, and its two directions."""

    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    flowing: asyncio.Event = field(default_factory=asyncio.Event)

    def abort(self) -> None:
        """Tear the connection down without a goodbye."""
        for writer in self.writers:
            writer.transport.abort()


class FaultProxy:
    """Listens on a port of the loopback, and connects each client to `upstream_port`.

    `upstream_port` may change: it takes effect on new connections.
    """

    def __init__(self, port: int, upstream_port: int = 0) -> None:
        self.port = port
        self.upstream_port = upstream_port
        self._delay_s = 0.0
        self._refuses = False
        self._freezes_new = False
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def close(self) -> None:
        """Stop listening and tear all connections down."""
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self, *, refuse: bool = False) -> None:
        """Tear all connections down; with `refuse`, new ones too, until `mend`."""
        self._refuses = refuse
        for link in list(self._links):
            link.abort()

    def freeze(self, *, new: bool) -> None:
        """Pass nothing more in either direction: both ends keep a connection that is dead. With `new`, new ones too."""
        self._freezes_new = new
        for link in self._links:
            link.flowing.clear()

    def delay(self, by_s: float) -> None:
        """Let bytes take so long in each direction."""
        self._delay_s = by_s

    def mend(self) -> None:
        """End every fault; frozen connections pass what they held back."""
        self._refuses = self._freezes_new = False
        self._delay_s = 0.0
        for link in self._links:
            link.flowing.set()

    def divert(self, upstream_port: int) -> None:
        """Lead new connections elsewhere, and tear the others down."""
        self.upstream_port = upstream_port
        self.cut()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link([writer])
        if self._refuses:
            link.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._links.add(link)
        if not self._freezes_new:
            link.flowing.set()
        try:
            await link.flowing.wait()
            upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self.upstream_port)
            link.writers.append(upstream)
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._pass_on(link, reader, upstream))
                directions.create_task(self._pass_on(link, upstream_reader, writer))
        except* OSError:
            # One end is gone, so the other one goes too.
            pass
        finally:
            link.abort()
            self._links.discard(link)
            self._tasks.discard(task)

    async def _pass_on(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one direction on, in order, until its end."""
        chunks: asyncio.Queue[Chunk | None] = asyncio.Queue(MAX_CHUNKS)
        reading = asyncio.create_task(self._read(reader, chunks))
        loop = asyncio.get_running_loop()
        try:
            while (chunk := await chunks.get()) is not None:
                due_s, data = chunk
                if (wait_s := due_s - loop.time()) > 0:
                    await asyncio.sleep(wait_s)
                await link.flowing.wait()
                writer.write(data)
                await writer.drain()
            await link.flowing.wait()
            with suppress(OSError):
                writer.write_eof()
        finally:
            reading.cancel()
            await asyncio.wait((reading,))

    async def _read(self, reader: asyncio.StreamReader, chunks: asyncio.Queue[Chunk | None]) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await reader.read(CHUNK_BYTES):
                await chunks.put((loop.time() + self._delay_s, data))
        except OSError:
            pass
        await chunks.put(None)
