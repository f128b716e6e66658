"""Connections over real sockets, to a server with short timeouts."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from service_kit.http.connection_limits import HttpTimeouts, PendingConnections, RateLimitedWebSocket
from service_kit.http.server import http_server
from service_kit.token_bucket import TokenBucket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

WITHIN_S = 20.0
TIMEOUTS = HttpTimeouts(head_s=0.3, unread_body_s=0.3, stalled_s=0.2)
LARGE = bytes(20_000_000)
# The apps that read nothing until their event is set.
DEAF: list[asyncio.Event] = []
# Frames of a flood, and the least time for them: 500 at once, then 4000 a second. The wait after the last parsed piece,
# up to 400 frames of ten bytes, delays only the frames that would follow.
FLOOD = 2000
FLOOD_S = 0.27


async def app(scope, receive, send) -> None:
    """Answers without reading the body; echoes WebSocket messages."""
    if scope["type"] == "http":
        body = LARGE if scope["path"] == "/large" else b"fine"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
        return
    await send({"type": "websocket.accept"})
    if scope["path"] == "/deaf":
        DEAF.append(hears := asyncio.Event())
        await hears.wait()
    if scope["path"] == "/large":
        await send({"type": "websocket.send", "bytes": LARGE})
    if scope["query_string"] == b"close":
        return
    while (frame := await receive())["type"] != "websocket.disconnect":
        if frame["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": frame.get("bytes") or frame["text"].encode()})


@asynccontextmanager
async def serving(timeouts: HttpTimeouts):
    server = http_server(app, "127.0.0.1", 0, timeouts)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def served(timeouts: HttpTimeouts = TIMEOUTS):
    async with serving(timeouts) as server:
        yield port_of(server)


def port_of(server: uvicorn.Server) -> int:
    return server.servers[0].sockets[0].getsockname()[1]


async def until_closed(reader: asyncio.StreamReader, within_s: float) -> bytes:
    """Return the bytes received before the server closes."""
    received = b""
    try:
        async with asyncio.timeout(within_s):
            while piece := await reader.read(65_536):
                received += piece
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nX-",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx",
    ],
)
async def test_an_endless_request_is_cut_off_however_it_drips(sent: bytes) -> None:
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        closed = asyncio.create_task(until_closed(reader, WITHIN_S))
        while sent and not closed.done():
            writer.write(b"x")
            await asyncio.sleep(0.05)
        assert (await closed).count(b"fine") == (1 if b"\r\n\r\n" in sent else 0)
        writer.close()


async def test_a_connection_may_idle_between_requests_for_longer() -> None:
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            await reader.readuntil(b"fine")
            await asyncio.sleep(2 * TIMEOUTS.head_s)
        writer.close()


async def test_a_response_that_is_not_read_closes_the_connection() -> None:
    async with serving(TIMEOUTS) as server:
        connections = server.server_state.connections
        with socket.create_connection(("127.0.0.1", port_of(server))) as client:
            client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(WITHIN_S):
                while not connections:
                    await asyncio.sleep(0.01)
                while connections:
                    await asyncio.sleep(0.01)
            client.settimeout(WITHIN_S)
            assert _bytes_until_closed(client) < len(LARGE)


def _bytes_until_closed(client: socket.socket) -> int:
    read_bytes = 0
    # Bytes in the kernel buffers still arrive.
    with suppress(ConnectionResetError):
        while piece := client.recv(65_536):
            read_bytes += len(piece)
    return read_bytes


async def test_a_response_that_is_read_slowly_is_delivered() -> None:
    timeouts = HttpTimeouts(stalled_s=0.8)
    async with served(timeouts) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=65_536)
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        read_bytes = 0
        while piece := await reader.read(1_000_000):
            read_bytes += len(piece)
            # The whole response takes twice the time of a stall.
            await asyncio.sleep(2 * timeouts.stalled_s * len(piece) / len(LARGE))
        assert read_bytes > len(LARGE)
        writer.close()


async def test_a_message_may_have_many_fragments_but_not_endless_ones() -> None:
    async with served(HttpTimeouts()) as port, connect(f"ws://127.0.0.1:{port}/") as client:
        await client.send([b"x"] * 500)
        assert await client.recv() == b"x" * 500
        with suppress(ConnectionClosed):
            await client.send([b""] * 5000)
        await client.wait_closed()
        assert client.close_code == 1009


async def test_a_flood_of_messages_is_slowed_and_none_is_lost() -> None:
    async with served(HttpTimeouts()) as port, connect(f"ws://127.0.0.1:{port}/", max_queue=None) as client:
        began_s = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(_send_all(client, FLOOD))
            received = [int.from_bytes(await client.recv()) for _ in range(FLOOD)]
            await sending
        assert received == list(range(FLOOD))
        assert asyncio.get_running_loop().time() - began_s > FLOOD_S


async def _send_all(client, frames: int) -> None:
    for number in range(frames):
        await client.send(number.to_bytes(4))


@pytest.mark.parametrize("kind", ["text", "fragments", "pings", "pongs"])
async def test_a_flood_of_other_frames_is_slowed_too(kind: str) -> None:
    async with served(HttpTimeouts()) as port, connect(f"ws://127.0.0.1:{port}/", max_queue=None) as client:
        began_s = asyncio.get_running_loop().time()
        for number in range(FLOOD if kind != "fragments" else FLOOD // 20):
            match kind:
                case "text":
                    await client.send("x" * 10)
                case "fragments":
                    await client.send([b"x" * 10] * 20)
                case "pings":
                    await client.ping(number.to_bytes(4))
                case _:
                    await client.pong(number.to_bytes(4))
        # The answer to what was sent last.
        await client.send(b"end")
        async with asyncio.timeout(WITHIN_S):
            while await client.recv() != b"end":
                pass
        assert asyncio.get_running_loop().time() - began_s > FLOOD_S


class CountedSocket:
    """A connection's socket that counts the stops of its reading."""

    def __init__(self, connection: RateLimitedWebSocket) -> None:
        self._socket = connection._socket  # pyright: ignore[reportPrivateUsage]
        self.stops = 0
        connection._socket = self  # type: ignore[assignment]  # pyright: ignore[reportPrivateUsage]

    def pause_reading(self) -> None:
        self.stops += 1
        self._socket.pause_reading()

    def __getattr__(self, name: str):
        return getattr(self._socket, name)


async def test_frames_that_arrive_one_by_one_do_not_stop_the_reading() -> None:
    async with serving(HttpTimeouts()) as server, connect(f"ws://127.0.0.1:{port_of(server)}/") as client:
        (connection,) = server.server_state.connections
        assert isinstance(connection, RateLimitedWebSocket)
        counted = CountedSocket(connection)
        for number in range(20):
            await client.send(bytes([number]) * 640)
            assert await client.recv() == bytes([number]) * 640
        assert counted.stops == 0


async def test_an_app_that_reads_nothing_stops_the_reading() -> None:
    async with serving(HttpTimeouts()) as server, connect(f"ws://127.0.0.1:{port_of(server)}/deaf") as client:
        (connection,) = server.server_state.connections
        assert isinstance(connection, RateLimitedWebSocket)
        counted = CountedSocket(connection)
        async with asyncio.timeout(WITHIN_S):
            while not counted.stops:
                await client.send(bytes(640))
                await asyncio.sleep(0.001)
        # `websocket.connect` and one message for the app, and one read of the event loop.
        assert connection.queue.qsize() == 2
        assert len(connection._unparsed) <= 262_144  # pyright: ignore[reportPrivateUsage]
        DEAF.pop().set()


async def test_closed_and_served_connections_are_no_longer_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    pending = PendingConnections()
    monkeypatch.setattr("service_kit.http.server.PendingConnections", lambda: pending)
    async with served(HttpTimeouts()) as port:
        _, silent = await asyncio.open_connection("127.0.0.1", port)
        reader, asking = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(WITHIN_S):
            while len(pending) < 2:
                await asyncio.sleep(0.01)
            asking.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"fine")
            assert len(pending) == 1
            silent.close()
            while len(pending) > 0:
                await asyncio.sleep(0.01)
        asking.close()


async def test_a_websocket_outlives_the_timeout_of_its_request() -> None:
    async with served() as port, connect(f"ws://127.0.0.1:{port}/") as client:
        await asyncio.sleep(2 * TIMEOUTS.head_s)
        await client.send(b"still here")
        assert await client.recv() == b"still here"


@pytest.mark.parametrize("target", ["/large", "/large?close"], ids=["app waits", "app has ended"])
async def test_a_websocket_whose_client_reads_nothing_is_closed(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service_kit.http.connection_limits.CLOSE_TIMEOUT_S", 0.4)
    async with serving(TIMEOUTS) as server:
        server.config.ws_ping_interval = server.config.ws_ping_timeout = 0.2 if target == "/large" else None
        connections = server.server_state.connections
        with socket.create_connection(("127.0.0.1", port_of(server))) as client:
            client.sendall(
                f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n".encode()
            )
            async with asyncio.timeout(WITHIN_S):
                while not any(isinstance(connection, RateLimitedWebSocket) for connection in connections):
                    await asyncio.sleep(0.01)
                while connections:
                    await asyncio.sleep(0.01)


def test_the_oldest_pending_connection_makes_room() -> None:
    closed: list[str] = []
    pending = PendingConnections(capacity=2)
    for name in ("first", "second", "third", "fourth"):
        pending.add(name, lambda name=name: closed.append(name))
        if name == "second":
            pending.remove("second")
    assert closed == ["first"]


def test_a_token_bucket_has_a_burst_and_then_a_rate() -> None:
    bucket = TokenBucket(rate=10, burst=5)
    assert [bucket.spend(1, 100.0) for _ in range(5)] == [0, 0, 0, 0, 0]
    assert bucket.spend(1, 100.0) == pytest.approx(0.1)
    assert bucket.spend(1, 100.05) == pytest.approx(0.15)
    # A long pause earns no more than the burst.
    assert bucket.spend(6, 200.0) == pytest.approx(0.1)
