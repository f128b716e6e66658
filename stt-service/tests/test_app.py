"""The whole service, over gRPC, HTTP and as a process."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from service_kit.errors import InvalidRequest
from service_kit.rpc.channel import open_channel
from stt_service.app import build
from stt_service.settings import SttSettings


async def test_the_service_describes_itself_and_stops(settings: SttSettings) -> None:
    service = build(settings.model_copy(update={"grpc_port": 0, "http_port": 0}))
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    async with asyncio.timeout(30):
        while not service.health.ready:
            await asyncio.sleep(0.02)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.http_port}") as client:
        info = (await client.get("/info")).json()
    assert info["engine"]["name"] == "pocketsphinx"
    assert info["engine"]["languages"] == ["en"]
    assert info["max_streams"] == 2
    stop.set()
    await running


@pytest.mark.parametrize("engine", ["voxtral", "voxtral-realtime"])
async def test_the_service_is_ready_while_its_server_is_available(
    engine: str, voxtral: SttSettings, voxtral_realtime: SttSettings, server: Any, realtime_server: Any
) -> None:
    chosen, server = (voxtral, server) if engine == "voxtral" else (voxtral_realtime, realtime_server)
    service = build(chosen.model_copy(update={"grpc_port": 0, "http_port": 0}))
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    async with asyncio.timeout(30), open_channel_when_ready(service) as health:
        assert await health() == "SERVING"
        server.starting = True
        while service.health.ready:
            await asyncio.sleep(0.02)
        assert "HTTP 503" in service.health.reason
        assert service.health.alive
        assert await health() == "NOT_SERVING"
        server.starting = False
        while not service.health.ready:
            await asyncio.sleep(0.02)
        assert await health() == "SERVING"
    stop.set()
    await running


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no engine 'sphynx'"):
        build(SttSettings(engine="sphynx"))


async def test_decoder_processes_end_when_the_service_is_killed(settings: SttSettings) -> None:
    environment = {
        **os.environ,
        "STT_GRPC_PORT": "0",
        "STT_HTTP_PORT": "0",
        "STT_KNOWLEDGE_DIR": str(settings.knowledge_dir),
        "ANCHOR_MODELS_DIR": str(settings.models_dir),
    }
    service = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stt_service"),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(30):
            while len(children := _children(service.pid)) < 2:
                await asyncio.sleep(0.05)
    finally:
        service.kill()
        await service.wait()
    async with asyncio.timeout(10):
        while any(_alive(pid) for pid in children):
            await asyncio.sleep(0.05)


@asynccontextmanager
async def open_channel_when_ready(service: Any) -> AsyncGenerator[Callable[[], Awaitable[str]]]:
    """Wait until the service is ready; yield a function that returns its gRPC health status."""
    while not service.health.ready:
        await asyncio.sleep(0.02)
    async with open_channel(f"127.0.0.1:{service.grpc_port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        async def status() -> str:
            request = health_pb2.HealthCheckRequest(service="anchor.stt.v1.SpeechToTextService")
            return health_pb2.HealthCheckResponse.ServingStatus.Name((await stub.Check(request)).status)

        yield status


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
