"""Connections that say nothing, half of something, or too much of the same."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import ExitStack, suppress

import httpx
import pytest
from anchor.session.v1 import session_pb2_grpc
from grpc import StatusCode, aio
from raw_client import is_put_out
from responses import ending, error_code, grpc_ending, told
from websockets.asyncio.client import connect

pytestmark = pytest.mark.e2e

HALF_OPEN = 500
# The server waits for 10 s; one that a drop now and then holds up would wait for ever.
OUT_WITHIN_S = 60
MIB = 2**20
HALF_HEAD = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
HALF_BODY = (
    b"POST /conversation/start HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b'Content-Length: 100\r\n\r\n{"language":'
)
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HTTP2_SETTINGS = b"\0\0\0\4\0\0\0\0\0"


async def test_whoever_says_nothing_or_half_of_something_is_put_out(ground) -> None:
    files = ground.open_files()
    async with ground.unharmed():
        with ground.measured(f"{HALF_OPEN} half-open connections to HTTP, 300 to gRPC, and two silent clients") as cost:
            async with asyncio.TaskGroup() as clients:
                clients.create_task(_half_open_to_http(ground.http_port))
                clients.create_task(_half_open_to_grpc(ground.grpc_target))
                clients.create_task(_silent_websocket(ground.audio_url))
                clients.create_task(_silent_call(ground.grpc_target))
                await asyncio.sleep(2)
                assert ground.open_files() <= files + HALF_OPEN + 300 + 10
        # Nothing is left of them while the well-behaved client goes on.
        async with asyncio.timeout(OUT_WITHIN_S):
            while ground.open_files() > files + 5:
                await asyncio.sleep(0.1)
    # 40 kB each, were they all kept.
    assert cost.memory_bytes < 48 * MIB


async def _half_open_to_http(port: int) -> None:
    with ExitStack() as stack:
        began_s = time.monotonic()
        clients: list[socket.socket] = []
        for number in range(HALF_OPEN):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall((b"", HALF_HEAD, HALF_BODY)[number % 3])
            clients.append(client)
        while not all(map(is_put_out, clients)):
            assert time.monotonic() - began_s < OUT_WITHIN_S
            await asyncio.sleep(0.5)
            # A drop now and then does not help.
            for client in clients[1::3]:
                with suppress(OSError):
                    client.send(b"x")


async def _half_open_to_grpc(target: str) -> None:
    with ExitStack() as stack:
        clients: list[socket.socket] = []
        for number in range(300):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", int(target.rpartition(":")[2]))))
            client.sendall((b"", HTTP2_PREFACE, HTTP2_PREFACE + HTTP2_SETTINGS)[number % 3])
            clients.append(client)
        began_s = time.monotonic()
        while not all(map(is_put_out, clients)):
            assert time.monotonic() - began_s < OUT_WITHIN_S
            await asyncio.sleep(0.5)


async def _silent_websocket(url: str) -> None:
    async with connect(url) as client:
        assert (await told(client, "error"))["code"] == "session.start_timeout"
        assert await ending(client) == (1008, "session.start_timeout")


async def _silent_call(target: str) -> None:
    async with aio.insecure_channel(target) as channel:
        messages, error = await grpc_ending(session_pb2_grpc.SessionServiceStub(channel).Converse())
    assert messages[0].message.error.code == error_code(error) == "session.start_timeout"
    assert error.code() is StatusCode.INVALID_ARGUMENT


async def test_of_many_silent_connections_the_oldest_make_room(ground) -> None:
    async with ground.unharmed():
        with ExitStack() as stack:
            clients = [
                stack.enter_context(socket.create_connection(("127.0.0.1", ground.http_port))) for _ in range(700)
            ]
            # 512 may wait.
            async with asyncio.timeout(OUT_WITHIN_S):
                while sum(out := [is_put_out(client) for client in clients]) < 188:
                    await asyncio.sleep(0.05)
            assert sum(out) < 260
            assert all(out[:180])
            async with httpx.AsyncClient(base_url=ground.url, trust_env=False) as http:
                assert (await http.get("/health")).status_code == 200


async def test_idle_tickets_beyond_ten_thousand_give_way_to_new_ones(own_ground) -> None:
    ground = own_ground
    body = b"{}"
    request = (
        b"POST /conversation/start HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\n\r\n" + body
    )
    async with ground.unharmed():
        with ground.measured("10 500 conversations begun") as cost:
            reader, writer = await asyncio.open_connection("127.0.0.1", ground.http_port)
            statuses: list[int] = []
            tickets: list[str] = []
            for _ in range(105):
                # A hundred at once, as fast as they are answered.
                writer.write(request * 100)
                for _ in range(100):
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    statuses.append(int(head.split()[1]))
                    length = next(line for line in head.lower().splitlines() if line.startswith("content-length:"))
                    tickets.append(json.loads(await reader.readexactly(int(length.split(":")[1])))["ticket"])
            writer.close()
            await writer.wait_closed()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ground.http_port}") as http:
            kept = [(await http.get(f"/conversation/{ticket}")).status_code for ticket in (tickets[0], tickets[-1])]
    assert set(statuses) == {201}
    assert kept == [404, 200]
    assert cost.memory_bytes < 64 * MIB
    # Some 2 ms each on a quiet machine, the bystander's turns included.
    assert cost.cpu_s / len(statuses) < 0.05
