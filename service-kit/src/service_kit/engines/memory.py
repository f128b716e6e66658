"""GPU memory of an engine over gRPC: report it, release it (park), allocate it again (wake)."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Coroutine, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from anchor.memory.v1 import memory_pb2, memory_pb2_grpc
from grpc import aio

from service_kit.engines.info import EngineInfo
from service_kit.errors import Unsupported

log = logging.getLogger(__name__)

SERVICE_NAME = "anchor.memory.v1.EngineMemoryService"

# Docker, containerd and podman mount files of the container's folder into it; the folder's name is the container id.
_CONTAINER = re.compile(r"/(?:containers|sandboxes|overlay-containers)/([0-9a-f]{64})/")


class MemoryKind(IntEnum):
    """What memory is used for; the values are those of the proto."""

    WEIGHTS = memory_pb2.MEMORY_KIND_WEIGHTS
    KV_CACHE = memory_pb2.MEMORY_KIND_KV_CACHE
    WORKSPACE = memory_pb2.MEMORY_KIND_WORKSPACE
    CONTEXT = memory_pb2.MEMORY_KIND_CONTEXT


@runtime_checkable
class MeasuredEngine(Protocol):
    """An engine that reports its GPU memory."""

    async def memory(self) -> Mapping[MemoryKind, int]:
        """Return bytes by kind; empty without a GPU."""
        ...


@runtime_checkable
class ParkableEngine(MeasuredEngine, Protocol):
    """An engine that can release its memory. While parked it refuses work with `NotReady`, code `<service>.parked`."""

    @property
    def parked(self) -> bool: ...

    async def park(self) -> None:
        """Release the memory. Raises `AtCapacity` while the engine works. Calls of `park` and `wake` never overlap."""
        ...

    async def wake(self) -> None:
        """Allocate it again; on failure the engine stays parked. Calls of `park` and `wake` never overlap."""
        ...


class EngineMemoryServicer(memory_pb2_grpc.EngineMemoryServiceServicer):
    """Serves the memory of one engine. Parking and waking are serialised: a second request waits for the first."""

    def __init__(self, engine: object, info: EngineInfo, container_id: str = "") -> None:
        """`engine` may lack either protocol; the responses say so. `container_id`: see memory.proto."""
        self._engine = engine
        self._info = info
        self._container_id = container_id
        self._moving = asyncio.Lock()

    def add_to(self, server: aio.Server) -> None:
        """Register with a gRPC server."""
        memory_pb2_grpc.add_EngineMemoryServiceServicer_to_server(self, server)

    async def GetMemory(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: memory_pb2.GetMemoryRequest, context: aio.ServicerContext[Any, Any]
    ) -> memory_pb2.GetMemoryResponse:
        """Return state and memory of the engine."""
        engine = self._engine
        memory = await engine.memory() if isinstance(engine, MeasuredEngine) else {}
        return memory_pb2.GetMemoryResponse(
            state=self._state(),
            parkable=isinstance(engine, ParkableEngine),
            model=self._info.model,
            parts=[
                memory_pb2.MemoryPart(kind=memory_pb2.MemoryKind.Name(kind), bytes=memory[kind])
                for kind in sorted(memory)
            ],
            container_id=self._container_id,
        )

    async def Park(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: memory_pb2.ParkRequest, context: aio.ServicerContext[Any, Any]
    ) -> memory_pb2.ParkResponse:
        """Release the engine's memory."""
        engine = self._parkable()
        async with self._moving:
            if not engine.parked:
                await _run_to_completion(engine.park())
        return memory_pb2.ParkResponse()

    async def Wake(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: memory_pb2.WakeRequest, context: aio.ServicerContext[Any, Any]
    ) -> memory_pb2.WakeResponse:
        """Allocate the engine's memory again."""
        engine = self._parkable()
        async with self._moving:
            if engine.parked:
                await _run_to_completion(engine.wake())
        return memory_pb2.WakeResponse()

    def _parkable(self) -> ParkableEngine:
        if not isinstance(self._engine, ParkableEngine):
            raise Unsupported("engine.not_parkable", f"engine {self._info.name} cannot release memory")
        return self._engine

    def _state(self) -> memory_pb2.EngineState:
        if self._moving.locked():
            return memory_pb2.ENGINE_STATE_MOVING
        if isinstance(self._engine, ParkableEngine) and self._engine.parked:
            return memory_pb2.ENGINE_STATE_PARKED
        return memory_pb2.ENGINE_STATE_AWAKE


async def _run_to_completion(move: Coroutine[Any, Any, None]) -> None:
    """Await `move` to its end even when the caller is cancelled, so that no engine is left half parked."""
    task = asyncio.create_task(move)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as cancelled:
            cancellation = cancelled
    if cancellation is None:
        return task.result()
    if not task.cancelled() and (error := task.exception()):
        log.warning("engine was neither parked nor woken", exc_info=error)
    raise cancellation


def own_container_id(mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Return the id of this process's container, 64 hexadecimal digits; empty outside a container, or if hidden."""
    try:
        found = _CONTAINER.search(mounts.read_text())
    except OSError:
        # No procfs: not Linux, or hidden.
        return ""
    return found[1] if found else ""
