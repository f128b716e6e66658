"""Silent, half-open and excessively many connections."""

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
from raw_client import is_closed_by_server
from responses import error_code, read_until_error, wait_closed, wait_for_message
from websockets.asyncio.client import connect

pytestmark = pytest.mark.e2e

HALF_OPEN = 500
# The server waits for 10 s; a timeout that each byte resets would never end.
CLOSED_WITHIN_S = 60
MIB = 2**20
HALF_HEAD = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
HALF_BODY = (
    b"POST /conversation/start HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b'Content-Length: 100\r\n\r\n{"language":'
)
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HTTP2_SETTINGS = b"\0\0\0\4\0\0\0\0\0"


async def test_silent_and_half_open_connections_are_closed(mesh) -> None:
    files = mesh.open_files()
    async with mesh.serving_bystander():
        with mesh.measure_cost(
            f"{HALF_OPEN} half-open connections to HTTP, 300 to gRPC, and two silent clients"
        ) as cost:
            async with asyncio.TaskGroup() as clients:
                clients.create_task(_half_open_to_http(mesh.http_port))
                clients.create_task(_half_open_to_grpc(mesh.grpc_target))
                clients.create_task(_silent_websocket(mesh.audio_url))
                clients.create_task(_silent_call(mesh.grpc_target))
                await asyncio.sleep(2)
                assert mesh.open_files() <= files + HALF_OPEN + 300 + 10
        # All are closed while the well-behaved client continues.
        async with asyncio.timeout(CLOSED_WITHIN_S):
            while mesh.open_files() > files + 5:
                await asyncio.sleep(0.1)
    # About 40 kB for each connection, if all were kept.
    assert cost.memory_bytes < 48 * MIB


async def _half_open_to_http(port: int) -> None:
    with ExitStack() as stack:
        began_s = time.monotonic()
        clients: list[socket.socket] = []
        for number in range(HALF_OPEN):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall((b"", HALF_HEAD, HALF_BODY)[number % 3])
            clients.append(client)
        while not all(map(is_closed_by_server, clients)):
            assert time.monotonic() - began_s < CLOSED_WITHIN_S
            await asyncio.sleep(0.5)
            # Single bytes do not extend the timeout.
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
        while not all(map(is_closed_by_server, clients)):
            assert time.monotonic() - began_s < CLOSED_WITHIN_S
            await asyncio.sleep(0.5)


async def _silent_websocket(url: str) -> None:
    async with connect(url) as client:
        assert (await wait_for_message(client, "error"))["code"] == "session.start_timeout"
        assert await wait_closed(client) == (1008, "session.start_timeout")


async def _silent_call(target: str) -> None:
    async with aio.insecure_channel(target) as channel:
        messages, error = await read_until_error(session_pb2_grpc.SessionServiceStub(channel).Converse())
    assert messages[0].message.error.code == error_code(error) == "session.start_timeout"
    assert error.code() is StatusCode.INVALID_ARGUMENT


async def test_the_oldest_of_many_silent_connections_are_closed(mesh) -> None:
    async with mesh.serving_bystander():
        with ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(("127.0.0.1", mesh.http_port))) for _ in range(700)]
            # The limit is 512.
            async with asyncio.timeout(CLOSED_WITHIN_S):
                while sum(closed := [is_closed_by_server(client) for client in clients]) < 188:
                    await asyncio.sleep(0.05)
            assert sum(closed) < 260
            assert all(closed[:180])
            async with httpx.AsyncClient(base_url=mesh.url, trust_env=False) as http:
                assert (await http.get("/health")).status_code == 200


async def test_new_tickets_replace_idle_ones_beyond_ten_thousand(fresh_mesh) -> None:
    body = b"{}"
    request = (
        b"POST /conversation/start HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\n\r\n" + body
    )
    async with fresh_mesh.serving_bystander():
        with fresh_mesh.measure_cost("10 500 conversations started") as cost:
            reader, writer = await asyncio.open_connection("127.0.0.1", fresh_mesh.http_port)
            statuses: list[int] = []
            tickets: list[str] = []
            for _ in range(105):
                # A hundred at once, as fast as the server answers.
                writer.write(request * 100)
                for _ in range(100):
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    statuses.append(int(head.split()[1]))
                    length = next(line for line in head.lower().splitlines() if line.startswith("content-length:"))
                    tickets.append(json.loads(await reader.readexactly(int(length.split(":")[1])))["ticket"])
            writer.close()
            await writer.wait_closed()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{fresh_mesh.http_port}") as http:
            kept = [(await http.get(f"/conversation/{ticket}")).status_code for ticket in (tickets[0], tickets[-1])]
    assert set(statuses) == {201}
    assert kept == [404, 200]
    assert cost.memory_bytes < 64 * MIB
    # About 2 ms each on an idle machine, including the bystander's turns.
    assert cost.cpu_s / len(statuses) < 0.05
