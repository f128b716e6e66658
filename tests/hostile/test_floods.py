"""One client that sends as much as it can, or reads nothing: other clients stay unaffected, and memory bounded."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from anchor.session.v1 import session_pb2 as pb
from anchor.session.v1 import session_pb2_grpc
from attacked_mesh import AttackedMesh
from grpc import StatusCode, aio
from raw_client import BINARY, CONTINUATION, PING, START, flood, json_frame, raw_websocket, websocket_frame
from service_kit.errors import ERROR_CODE_KEY

pytestmark = pytest.mark.e2e

FLOOD_S = 1.0
# The length of a flood that the server does not disconnect.
DISCONNECTED_WITHIN_S = 60.0
TOO_SLOW = "session.client_too_slow"
MIB = 2**20


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("audio of one sample", websocket_frame(BINARY, bytes(2)) * 1000),
        ("half a sample", websocket_frame(BINARY, bytes(1)) * 1000),
        ("no audio at all", websocket_frame(BINARY) * 1000),
        ("audio of 64 kB", websocket_frame(BINARY, bytes(65_000)) * 4),
        ("questions", json_frame(type="text_input", text="x") * 300),
        ("interruptions", json_frame(type="interrupt") * 300),
        ("requests for the status", json_frame(type="request_status") * 300),
        ("reports of playback", json_frame(type="playback_progress", turn_id=1, played_ms=1) * 300),
        ("pings", websocket_frame(PING, bytes(125)) * 1000),
        ("empty pings", websocket_frame(PING) * 1000),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_flood_of_messages_does_not_delay_other_clients(mesh, name: str, payload: bytes) -> None:
    async with mesh.serving_bystander():
        with mesh.measure_cost(f"flood of {name}") as cost:
            await flood(mesh.http_port, payload, FLOOD_S)
    assert cost.memory_bytes < 32 * MIB


async def test_a_message_in_endless_fragments_is_not_buffered(mesh) -> None:
    async with mesh.serving_bystander():
        blob = websocket_frame(BINARY, last=False) + websocket_frame(CONTINUATION, last=False) * 200_000
        with mesh.measure_cost("endless fragments") as cost:
            await flood(mesh.http_port, blob, DISCONNECTED_WITHIN_S)
    assert cost.wall_s < DISCONNECTED_WITHIN_S
    assert cost.memory_bytes < 16 * MIB


async def test_a_flood_of_grpc_messages_does_not_delay_other_clients(mesh) -> None:
    sample = pb.ConverseRequest(message=pb.ClientMessage(microphone_audio=pb.MicrophoneAudio(pcm=bytes(2))))
    async with mesh.serving_bystander(), aio.insecure_channel(mesh.grpc_target) as channel:
        call = session_pb2_grpc.SessionServiceStub(channel).Converse()
        await call.write(pb.ConverseRequest(message=pb.ClientMessage(session_start=pb.SessionStart())))
        with mesh.measure_cost("gRPC messages of one sample") as cost:
            until_s = time.monotonic() + FLOOD_S
            try:
                async with asyncio.timeout(FLOOD_S):
                    while time.monotonic() < until_s:
                        await call.write(sample)
            except TimeoutError:
                pass  # The server limits the rate at which it reads.
        call.cancel()
    assert cost.memory_bytes < 32 * MIB


async def test_clients_that_do_not_read_are_disconnected(mesh) -> None:
    """All run concurrently, because each takes long. Client sockets stay open until the server closes its ends."""
    async with mesh.serving_bystander():
        files = mesh.open_files()
        with ExitStack() as stack, mesh.measure_cost("clients that do not read") as cost:
            async with asyncio.TaskGroup() as clients:
                clients.create_task(_open_unread_grpc_call(mesh))
                clients.create_task(flood(mesh.http_port, json_frame(type="request_status") * 300, 90.0, reads=False))
                listener = stack.enter_context(raw_websocket(mesh.http_port))
                listener.sendall(json_frame(**START) + json_frame(type="text_input", text="speak"))
                async with asyncio.timeout(10):
                    while mesh.open_files() < files + 3:
                        await asyncio.sleep(0.05)
                # One file of tolerance.
                async with asyncio.timeout(DISCONNECTED_WITHIN_S):
                    while mesh.open_files() > files + 1:
                        await asyncio.sleep(0.2)
    assert cost.memory_bytes < 48 * MIB


async def _open_unread_grpc_call(mesh: AttackedMesh) -> None:
    failed = mesh.failed_calls(TOO_SLOW)
    # Without the probe the flow-control window stays at 64 KiB.
    options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536)]
    async with aio.insecure_channel(mesh.grpc_target, options=options) as channel:
        call = session_pb2_grpc.SessionServiceStub(channel).Converse()
        await call.write(pb.ConverseRequest(message=pb.ClientMessage(session_start=pb.SessionStart())))
        await call.write(pb.ConverseRequest(message=pb.ClientMessage(text_input=pb.TextInput(text="speak"))))
        # Reading earlier would let the server continue.
        async with asyncio.timeout(DISCONNECTED_WITHIN_S):
            while mesh.failed_calls(TOO_SLOW) == failed:
                await asyncio.sleep(0.2)
        with pytest.raises(aio.AioRpcError) as ended:
            await _read_to_the_end(call)
    assert ended.value.code() is StatusCode.RESOURCE_EXHAUSTED
    assert dict(ended.value.trailing_metadata() or ())[ERROR_CODE_KEY] == TOO_SLOW


async def _read_to_the_end(call: Any) -> None:
    while await call.read() is not aio.EOF:
        pass


async def test_an_endless_body_is_not_read(mesh) -> None:
    async def endless():
        for _ in range(100):
            yield bytes(MIB)

    async with mesh.serving_bystander(), httpx.AsyncClient(base_url=mesh.url, trust_env=False) as http:
        with mesh.measure_cost("100 MiB to /conversation/start") as cost:
            try:
                answer = await http.post("/conversation/start", content=endless())
                assert answer.json()["error"]["code"] == "session.body_too_large"
            except httpx.TransportError:
                pass  # The server closed before the client had sent everything.
    assert cost.memory_bytes < 8 * MIB
