"""Memory of the GPU that an engine holds: telling of it, giving it back, taking it again."""

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

# Docker, containerd and podman mount files of the container's own folder into it; the folder is named for its id.
_CONTAINER = re.compile(r"/(?:containers|sandboxes|overlay-containers)/([0-9a-f]{64})/")


class MemoryKind(IntEnum):
    """What memory is held for; the numbers are the contract's."""

    WEIGHTS = memory_pb2.MEMORY_KIND_WEIGHTS
    KV_CACHE = memory_pb2.MEMORY_KIND_KV_CACHE
    WORKSPACE = memory_pb2.MEMORY_KIND_WORKSPACE
    CONTEXT = memory_pb2.MEMORY_KIND_CONTEXT


@runtime_checkable
class MeasuredEngine(Protocol):
    """An engine that can tell what it holds on the GPU."""

    async def memory(self) -> Mapping[MemoryKind, int]:
        """Bytes by kind; empty without a GPU."""
        ...


@runtime_checkable
class ParkableEngine(MeasuredEngine, Protocol):
    """An engine that can give its memory back. Parked, it refuses work with `NotReady`, code `<service>.parked`."""

    @property
    def parked(self) -> bool: ...

    async def park(self) -> None:
        """Give memory back. Raises `AtCapacity` while work is under way. Never called beside `wake` or itself."""
        ...

    async def wake(self) -> None:
        """Take it again; on failure the engine stays parked. Never called beside `park` or itself."""
        ...


class EngineMemoryServicer(memory_pb2_grpc.EngineMemoryServiceServicer):
    """One engine's memory over gRPC. Moves one at a time: a second request waits for the first."""

    def __init__(self, engine: object, info: EngineInfo, container_id: str = "") -> None:
        """`engine` may be anything: what cannot be measured or parked says so. `container_id` is the contract's."""
        self._engine = engine
        self._info = info
        self._container_id = container_id
        self._moving = asyncio.Lock()

    def add_to(self, server: aio.Server) -> None:
        """Serve this."""
        memory_pb2_grpc.add_EngineMemoryServiceServicer_to_server(self, server)

    async def GetMemory(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: memory_pb2.GetMemoryRequest, context: aio.ServicerContext[Any, Any]
    ) -> memory_pb2.GetMemoryResponse:
        """What the engine holds."""
        engine = self._engine
        held = await engine.memory() if isinstance(engine, MeasuredEngine) else {}
        return memory_pb2.GetMemoryResponse(
            state=self._state(),
            parkable=isinstance(engine, ParkableEngine),
            model=self._info.model,
            parts=[
                memory_pb2.MemoryPart(kind=memory_pb2.MemoryKind.Name(kind), bytes=held[kind]) for kind in sorted(held)
            ],
            container_id=self._container_id,
        )

    async def Park(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: memory_pb2.ParkRequest, context: aio.ServicerContext[Any, Any]
    ) -> memory_pb2.ParkResponse:
        """Give the engine's memory back."""
        engine = self._parkable()
        async with self._moving:
            if not engine.parked:
                await _to_its_end(engine.park())
        return memory_pb2.ParkResponse()

    async def Wake(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: memory_pb2.WakeRequest, context: aio.ServicerContext[Any, Any]
    ) -> memory_pb2.WakeResponse:
        """Take the engine's memory again."""
        engine = self._parkable()
        async with self._moving:
            if engine.parked:
                await _to_its_end(engine.wake())
        return memory_pb2.WakeResponse()

    def _parkable(self) -> ParkableEngine:
        if not isinstance(self._engine, ParkableEngine):
            raise Unsupported(
                "engine.not_parkable", f"engine {self._info.name} holds no memory that it could give back"
            )
        return self._engine

    def _state(self) -> memory_pb2.EngineState:
        if self._moving.locked():
            return memory_pb2.ENGINE_STATE_MOVING
        if isinstance(self._engine, ParkableEngine) and self._engine.parked:
            return memory_pb2.ENGINE_STATE_PARKED
        return memory_pb2.ENGINE_STATE_AWAKE


async def _to_its_end(move: Coroutine[Any, Any, None]) -> None:
    """Await `move`; a caller that goes away meanwhile leaves no engine half moved."""
    task = asyncio.create_task(move)
    gone: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as cancelled:
            gone = cancelled
    if gone is None:
        return task.result()
    if not task.cancelled() and (error := task.exception()):
        log.warning("engine not moved", exc_info=error)
    raise gone


def own_container_id(mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The container that this process runs in, 64 hexadecimal digits; empty outside one, or where it is hidden."""
    try:
        found = _CONTAINER.search(mounts.read_text())
    except OSError:
        # No procfs: not Linux, or hidden from us.
        return ""
    return found[1] if found else ""
