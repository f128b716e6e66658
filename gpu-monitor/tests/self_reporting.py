"""Shared by tests of self-reports: a served engine, and calls with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from gpu_monitor.memory.self_report import ReceivedReport, Reporter, SelfReport
from service_kit.engines.info import EngineInfo
from service_kit.engines.memory import SERVICE_NAME, EngineMemoryServicer, MemoryKind
from service_kit.health import Health, Status
from service_kit.rpc.server import GrpcServer


def reported(held: int, **known: object) -> ReceivedReport:
    """A fresh report of `held` bytes of weights; `known` are further fields of `SelfReport`."""
    return ReceivedReport(SelfReport(parts={MemoryKind.WEIGHTS: held}, **known))  # type: ignore[arg-type]


class MeasuredEngine:
    """An engine that reports its memory by kind, in bytes."""

    def __init__(self, held: dict[MemoryKind, int]) -> None:
        self._held = held

    async def memory(self) -> dict[MemoryKind, int]:
        return self._held


@asynccontextmanager
async def serve_engine_memory(engine: object, container_id: str) -> AsyncGenerator[str]:
    """Serve `engine` over `anchor.memory.v1` as model `a-model`; yields the address (`host:port`)."""
    servicer = EngineMemoryServicer(engine, EngineInfo("test", "a-model", "0"), container_id)
    health = Health("test", EngineInfo("test", "none", "0"))
    server = GrpcServer(health, [(SERVICE_NAME, servicer.add_to)], reflect=False)
    port = await server.start("127.0.0.1", 0)
    health.move_to(Status.READY)
    await server.set_ready(True)
    yield f"127.0.0.1:{port}"
    await server.stop(0)


async def first_report(reporter: Reporter) -> SelfReport:
    """The first answer of `reporter`, within 20 s."""
    async with reporter.connect() as fetch, asyncio.timeout(20):
        return await fetch()


async def wait_until(condition: Callable[[], object]) -> None:
    """Poll until `condition` holds, at most 20 s."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)
