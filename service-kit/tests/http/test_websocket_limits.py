"""Connections over real sockets, to a server with little patience."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from service_kit.http.routes import http_server
from service_kit.http.websocket_limits import HttpTimeouts, PendingConnections
from service_kit.token_bucket import TokenBucket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

WITHIN_S = 20.0
PATIENCE = HttpTimeouts(head_s=0.3, leftovers_s=0.3, stalled_s=0.2)
LARGE = bytes(20_000_000)


async def app(scope, receive, send) -> None:
    """Answers without reading the body; echoes what a WebSocket says."""
    if scope["type"] == "http":
        body = LARGE if scope["path"] == "/large" else b"fine"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
        return
    await send({"type": "websocket.accept"})
    while (frame := await receive())["type"] != "websocket.disconnect":
        if frame["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": frame["bytes"]})


@asynccontextmanager
async def serving(patience: HttpTimeouts):
    server = http_server(app, "127.0.0.1", 0, patience)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def served(patience: HttpTimeouts = PATIENCE):
    async with serving(patience) as server:
        yield port_of(server)


def port_of(server: uvicorn.Server) -> int:
    return server.servers[0].sockets[0].getsockname()[1]


async def until_closed(reader: asyncio.StreamReader, within_s: float) -> bytes:
    """What still comes before the server closes."""
    heard = b""
    try:
        async with asyncio.timeout(within_s):
            while piece := await reader.read(65_536):
                heard += piece
    except ConnectionResetError:
        pass
    return heard


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nX-",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx",
    ],
)
async def test_a_request_that_does_not_end_is_not_waited_for_however_it_drips(sent: bytes) -> None:
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        closed = asyncio.create_task(until_closed(reader, WITHIN_S))
        while sent and not closed.done():
            writer.write(b"x")
            await asyncio.sleep(0.05)
        assert (await closed).count(b"fine") == (1 if b"\r\n\r\n" in sent else 0)
        writer.close()


async def test_a_connection_may_rest_between_requests_for_longer() -> None:
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            await reader.readuntil(b"fine")
            await asyncio.sleep(2 * PATIENCE.head_s)
        writer.close()


async def test_an_answer_that_is_not_taken_is_given_up() -> None:
    async with serving(PATIENCE) as server:
        connections = server.server_state.connections
        with socket.create_connection(("127.0.0.1", port_of(server))) as client:
            client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(WITHIN_S):
                while not connections:
                    await asyncio.sleep(0.01)
                while connections:
                    await asyncio.sleep(0.01)
            client.settimeout(WITHIN_S)
            assert _taken_until_closed(client) < len(LARGE)


def _taken_until_closed(client: socket.socket) -> int:
    taken = 0
    # What the kernel has taken over already still comes.
    with suppress(ConnectionResetError):
        while piece := client.recv(65_536):
            taken += len(piece)
    return taken


async def test_an_answer_that_is_taken_slowly_is_delivered() -> None:
    patience = HttpTimeouts(stalled_s=0.8)
    async with served(patience) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=65_536)
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        taken = 0
        while piece := await reader.read(1_000_000):
            taken += len(piece)
            # All of it takes twice the time in which nothing may be taken.
            await asyncio.sleep(2 * patience.stalled_s * len(piece) / len(LARGE))
        assert taken > len(LARGE)
        writer.close()


async def test_a_message_may_come_in_many_fragments_but_not_in_endless_ones() -> None:
    async with served(HttpTimeouts()) as port, connect(f"ws://127.0.0.1:{port}/") as client:
        await client.send([b"x"] * 500)
        assert await client.recv() == b"x" * 500
        with suppress(ConnectionClosed):
            await client.send([b""] * 5000)
        await client.wait_closed()
        assert client.close_code == 1009


async def test_a_flood_is_slowed_and_nothing_of_it_is_lost() -> None:
    frames = 2000
    async with served(HttpTimeouts()) as port, connect(f"ws://127.0.0.1:{port}/", max_queue=None) as client:
        began_s = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(_send_all(client, frames))
            heard = [int.from_bytes(await client.recv()) for _ in range(frames)]
            await sending
        assert heard == list(range(frames))
        # 500 at once, then 4000 a second; the last piece that is parsed, up to 400 frames of ten bytes, is waited for
        # by what comes after it.
        assert asyncio.get_running_loop().time() - began_s > 0.27


async def _send_all(client, frames: int) -> None:
    for number in range(frames):
        await client.send(number.to_bytes(4))


def test_the_one_who_waits_longest_makes_room() -> None:
    out: list[str] = []
    doorstep = PendingConnections(places=2)
    for name in ("first", "second", "third", "fourth"):
        doorstep.enter(name, lambda name=name: out.append(name))
        if name == "second":
            doorstep.leave("second")
    assert out == ["first"]


def test_an_allowance_has_a_burst_and_then_a_rate() -> None:
    allowance = TokenBucket(rate=10, burst=5)
    assert [allowance.spend(1, 100.0) for _ in range(5)] == [0, 0, 0, 0, 0]
    assert allowance.spend(1, 100.0) == pytest.approx(0.1)
    assert allowance.spend(1, 100.05) == pytest.approx(0.15)
    # Long rest earns no more than the burst.
    assert allowance.spend(6, 200.0) == pytest.approx(0.1)
