"""An engine's memory over real gRPC: reported, released, allocated again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from anchor.memory.v1 import memory_pb2, memory_pb2_grpc
from service_kit.engines.info import EngineInfo
from service_kit.engines.memory import SERVICE_NAME, EngineMemoryServicer, MemoryKind, own_container_id
from service_kit.errors import AtCapacity, EngineFailed
from service_kit.testing.plugin import serve_grpc

INFO = EngineInfo("shelf", "shelf-3b", "1")
CONTAINER = "4f" * 32


class ShelfEngine:
    """Holds 5 bytes of weights until it is parked."""

    def __init__(self) -> None:
        self.parked = False
        self.moves: list[str] = []
        self.busy = False
        self.broken = False
        self.breaks = False
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def memory(self) -> Mapping[MemoryKind, int]:
        return {MemoryKind.KV_CACHE: 2, MemoryKind.WEIGHTS: 0 if self.parked else 5}

    async def park(self) -> None:
        if self.busy:
            raise AtCapacity("shelf.busy", "it speaks")
        self.begun.set()
        await self.go.wait()
        if self.breaks:
            raise EngineFailed("shelf.failed", "it fell down")
        self.parked = True
        self.moves.append("park")

    async def wake(self) -> None:
        if self.broken:
            raise EngineFailed("shelf.failed", "out of memory")
        self.parked = False
        self.moves.append("wake")


@asynccontextmanager
async def memory_of(engine: object) -> AsyncGenerator[memory_pb2_grpc.EngineMemoryServiceAsyncStub]:
    async with serve_grpc(SERVICE_NAME, EngineMemoryServicer(engine, INFO, CONTAINER).add_to) as channel:
        yield memory_pb2_grpc.EngineMemoryServiceStub(channel)


async def test_an_engine_reports_its_memory_and_its_container() -> None:
    async with memory_of(ShelfEngine()) as stub:
        told = await stub.GetMemory(memory_pb2.GetMemoryRequest())
    assert told.state == memory_pb2.ENGINE_STATE_AWAKE
    assert told.parkable
    assert (told.model, told.container_id) == ("shelf-3b", CONTAINER)
    assert [(part.kind, part.bytes) for part in told.parts] == [
        (memory_pb2.MEMORY_KIND_WEIGHTS, 5),
        (memory_pb2.MEMORY_KIND_KV_CACHE, 2),
    ]


async def test_a_parked_engine_stays_parked_until_it_is_woken() -> None:
    engine = ShelfEngine()
    async with memory_of(engine) as stub:
        for _ in range(2):
            await stub.Park(memory_pb2.ParkRequest())
        told = await stub.GetMemory(memory_pb2.GetMemoryRequest())
        assert told.state == memory_pb2.ENGINE_STATE_PARKED
        for _ in range(2):
            await stub.Wake(memory_pb2.WakeRequest())
    assert engine.moves == ["park", "wake"]


async def test_a_busy_engine_refuses_and_one_that_fails_to_wake_stays_parked() -> None:
    engine = ShelfEngine()
    async with memory_of(engine) as stub:
        engine.busy = True
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Park(memory_pb2.ParkRequest())
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        engine.busy = False
        await stub.Park(memory_pb2.ParkRequest())
        engine.broken = True
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stub.Wake(memory_pb2.WakeRequest())
        assert failed.value.code() is grpc.StatusCode.INTERNAL
        assert (await stub.GetMemory(memory_pb2.GetMemoryRequest())).state == memory_pb2.ENGINE_STATE_PARKED


async def test_a_cancelled_caller_leaves_no_engine_half_parked() -> None:
    engine = ShelfEngine()
    engine.go.clear()
    async with memory_of(engine) as stub:
        parking = stub.Park(memory_pb2.ParkRequest())
        async with asyncio.timeout(20):
            await engine.begun.wait()
        parking.cancel()
        assert (await stub.GetMemory(memory_pb2.GetMemoryRequest())).state == memory_pb2.ENGINE_STATE_MOVING
        waking = stub.Wake(memory_pb2.WakeRequest())
        engine.go.set()
        await waking
    assert engine.moves == ["park", "wake"]


async def test_parking_completes_however_often_its_caller_is_cancelled() -> None:
    engine = ShelfEngine()
    engine.go.clear()
    servicer = EngineMemoryServicer(engine, INFO)
    parking = asyncio.create_task(servicer.Park(memory_pb2.ParkRequest(), cast(Any, None)))
    # A client that hangs up, then a server that stops.
    for _ in range(3):
        await asyncio.sleep(0.01)
        parking.cancel()
    waking = asyncio.create_task(servicer.Wake(memory_pb2.WakeRequest(), cast(Any, None)))
    await asyncio.sleep(0.01)
    assert not parking.done()
    engine.go.set()
    await waking
    assert parking.cancelled()
    assert engine.moves == ["park", "wake"]


async def test_a_failure_after_the_caller_was_cancelled_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    engine = ShelfEngine()
    engine.go.clear()
    engine.breaks = True
    servicer = EngineMemoryServicer(engine, INFO)
    parking = asyncio.create_task(servicer.Park(memory_pb2.ParkRequest(), cast(Any, None)))
    await asyncio.sleep(0.01)
    parking.cancel()
    engine.go.set()
    await asyncio.wait((parking,))
    (line,) = caplog.records
    assert (line.message, line.exc_info and line.exc_info[0]) == ("engine was neither parked nor woken", EngineFailed)


async def test_an_engine_without_a_gpu_has_no_memory_and_cannot_park() -> None:
    async with memory_of(object()) as stub:
        told = await stub.GetMemory(memory_pb2.GetMemoryRequest())
        assert not told.parkable
        assert not told.parts
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Park(memory_pb2.ParkRequest())
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_container_id_is_read_from_the_mounts(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1471 1462 254:1 /var/lib/docker/containers/" + CONTAINER + "/hostname /etc/hostname rw - ext4 /dev/vda1 rw\n"
    )
    assert own_container_id(mounts) == CONTAINER
    mounts.write_text("22 1 254:1 / / rw - ext4 /dev/vda1 rw\n")
    assert own_container_id(mounts) == ""
    assert own_container_id(tmp_path / "missing") == ""
