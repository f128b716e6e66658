"""One client that sends all it can, or reads nothing: others do not notice, and it gets no further than its bounds."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from anchor.session.v1 import session_pb2 as pb
from anchor.session.v1 import session_pb2_grpc
from grpc import StatusCode, aio
from raw_client import BINARY, CONTINUATION, PING, START, flood, frame, raw_websocket, said
from service_kit.errors import ERROR_CODE_KEY
from witness import HostileGround

pytestmark = pytest.mark.e2e

FLOOD_S = 1.0
# How long a flood would last that nobody put out.
PUT_OUT_WITHIN_S = 60.0
TOO_SLOW = "session.client_too_slow"
MIB = 2**20


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("audio of one sample", frame(BINARY, bytes(2)) * 1000),
        ("half a sample", frame(BINARY, bytes(1)) * 1000),
        ("no audio at all", frame(BINARY) * 1000),
        ("audio of 64 kB", frame(BINARY, bytes(65_000)) * 4),
        ("questions", said(type="text_input", text="x") * 300),
        ("interruptions", said(type="interrupt") * 300),
        ("requests for the status", said(type="request_status") * 300),
        ("reports of playback", said(type="playback_progress", turn_id=1, played_ms=1) * 300),
        ("pings", frame(PING, bytes(125)) * 1000),
        ("empty pings", frame(PING) * 1000),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_flood_of_tiny_messages_drowns_nobody(ground, name: str, payload: bytes) -> None:
    async with ground.unharmed():
        with ground.measured(f"flood of {name}") as cost:
            await flood(ground.http_port, payload, FLOOD_S)
    assert cost.memory_bytes < 32 * MIB


async def test_a_message_in_endless_fragments_is_not_gathered(ground) -> None:
    async with ground.unharmed():
        blob = frame(BINARY, last=False) + frame(CONTINUATION, last=False) * 200_000
        with ground.measured("endless fragments") as cost:
            await flood(ground.http_port, blob, PUT_OUT_WITHIN_S)
    assert cost.wall_s < PUT_OUT_WITHIN_S
    assert cost.memory_bytes < 16 * MIB


async def test_a_flood_of_calls_and_messages_at_grpc_drowns_nobody(ground) -> None:
    sample = pb.ConverseRequest(message=pb.ClientMessage(microphone_audio=pb.MicrophoneAudio(pcm=bytes(2))))
    async with ground.unharmed(), aio.insecure_channel(ground.grpc_target) as channel:
        call = session_pb2_grpc.SessionServiceStub(channel).Converse()
        await call.write(pb.ConverseRequest(message=pb.ClientMessage(session_start=pb.SessionStart())))
        with ground.measured("gRPC messages of one sample") as cost:
            until_s = time.monotonic() + FLOOD_S
            try:
                async with asyncio.timeout(FLOOD_S):
                    while time.monotonic() < until_s:
                        await call.write(sample)
            except TimeoutError:
                pass  # The server has stopped reading ahead of its pace.
        call.cancel()
    assert cost.memory_bytes < 32 * MIB


async def test_clients_that_do_not_read_are_put_out_and_nothing_is_kept_for_them(ground) -> None:
    """All at once, since each takes its time. Their own ends stay open until the others are out."""
    async with ground.unharmed():
        files = ground.open_files()
        with ExitStack() as stack, ground.measured("clients that do not read") as cost:
            async with asyncio.TaskGroup() as clients:
                clients.create_task(_grpc_call_that_is_not_read(ground))
                clients.create_task(flood(ground.http_port, said(type="request_status") * 300, 90.0, reads=False))
                listener = stack.enter_context(raw_websocket(ground.http_port))
                listener.sendall(said(**START) + said(type="text_input", text="speak"))
                async with asyncio.timeout(10):
                    while ground.open_files() < files + 3:
                        await asyncio.sleep(0.05)
                # One for luck.
                async with asyncio.timeout(PUT_OUT_WITHIN_S):
                    while ground.open_files() > files + 1:
                        await asyncio.sleep(0.2)
    assert cost.memory_bytes < 48 * MIB


async def _grpc_call_that_is_not_read(ground: HostileGround) -> None:
    failed = ground.failed_calls(TOO_SLOW)
    # Without the probe its window stays at 64 KiB, which the server then has to respect.
    options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536)]
    async with aio.insecure_channel(ground.grpc_target, options=options) as channel:
        call = session_pb2_grpc.SessionServiceStub(channel).Converse()
        await call.write(pb.ConverseRequest(message=pb.ClientMessage(session_start=pb.SessionStart())))
        await call.write(pb.ConverseRequest(message=pb.ClientMessage(text_input=pb.TextInput(text="speak"))))
        # What is read before would let the server go on.
        async with asyncio.timeout(PUT_OUT_WITHIN_S):
            while ground.failed_calls(TOO_SLOW) == failed:
                await asyncio.sleep(0.2)
        with pytest.raises(aio.AioRpcError) as ended:
            await _read_to_the_end(call)
    assert ended.value.code() is StatusCode.RESOURCE_EXHAUSTED
    assert dict(ended.value.trailing_metadata() or ())[ERROR_CODE_KEY] == TOO_SLOW


async def _read_to_the_end(call: Any) -> None:
    while await call.read() is not aio.EOF:
        pass


async def test_a_body_without_end_is_not_read(ground) -> None:
    async def endless():
        for _ in range(100):
            yield bytes(MIB)

    async with ground.unharmed(), httpx.AsyncClient(base_url=ground.url, trust_env=False) as http:
        with ground.measured("100 MiB to /conversation/start") as cost:
            try:
                answer = await http.post("/conversation/start", content=endless())
                assert answer.json()["error"]["code"] == "session.body_too_large"
            except httpx.TransportError:
                pass  # It closed before the client had sent all.
    assert cost.memory_bytes < 8 * MIB
