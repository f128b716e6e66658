"""What tests of every service share. A pytest plugin: `pytest_plugins = ["service_kit.testing"]`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from grpc import aio

from service_kit.channel import open_channel
from service_kit.engine import EngineInfo
from service_kit.grpc_server import GrpcServer, Servicer
from service_kit.health import Health, Status


@asynccontextmanager
async def serving(name: str, add: Callable[[aio.Server], None]) -> AsyncGenerator[aio.Channel]:
    """A ready gRPC server on a free port with one servicer, as production runs it; yields a channel to it."""
    servicers: list[Servicer] = [(name, add)]
    health = Health("test", EngineInfo("test", "none", "0"))
    server = GrpcServer(health, servicers, reflect=False)
    port = await server.start("127.0.0.1", 0)
    health.move_to(Status.READY)
    await server.set_ready(True)
    channel = open_channel(f"127.0.0.1:{port}")
    try:
        yield channel
    finally:
        await channel.close()
        await server.stop(0)


@pytest.fixture(autouse=True)
async def no_leaked_tasks() -> AsyncGenerator[None]:
    """Fail a test that leaves tasks of its own behind."""
    before = asyncio.all_tasks()
    yield
    leaked: set[asyncio.Task[Any]] = set()
    for _ in range(20):
        # grpc.aio ends its own tasks a few loop turns after a call has ended.
        leaked = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}
        if not leaked:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"leaked tasks: {sorted(task.get_name() + ' ' + repr(task.get_coro()) for task in leaked)}")


def chunks(pcm: bytes, size: int) -> Iterator[bytes]:
    """`pcm` in pieces of `size` bytes; the last may be shorter."""
    return (pcm[start : start + size] for start in range(0, len(pcm), size))
