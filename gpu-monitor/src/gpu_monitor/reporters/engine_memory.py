"""Asks a service of ours, over `anchor.memory.v1`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from anchor.memory.v1 import memory_pb2, memory_pb2_grpc
from grpc import aio
from service_kit.engines.memory import MemoryKind
from service_kit.errors import from_rpc_error
from service_kit.rpc.channel import open_channel

from gpu_monitor.memory.self_report import Ask, EngineState, SelfReport


class EngineMemoryReporter:
    """One service; `target` is its gRPC address (`host:port`)."""

    def __init__(self, service: str, target: str) -> None:
        self.service = service
        self._target = target

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Ask]:
        async with open_channel(self._target) as channel:
            stub = memory_pb2_grpc.EngineMemoryServiceStub(channel)

            async def ask() -> SelfReport:
                try:
                    return self_report(await stub.GetMemory(memory_pb2.GetMemoryRequest()))
                except aio.AioRpcError as error:
                    raise from_rpc_error(error, self.service) from error

            yield ask


def self_report(said: memory_pb2.GetMemoryResponse) -> SelfReport:
    """What the service said. Kinds that are newer than this monitor go together."""
    known = {kind.value for kind in MemoryKind}
    state = EngineState(said.state) if said.state in set(EngineState) else EngineState.UNKNOWN
    return SelfReport(
        state=state,
        models=(said.model,) if said.model else (),
        parts={MemoryKind(part.kind): part.bytes for part in said.parts if part.kind in known},
        other_bytes=sum(part.bytes for part in said.parts if part.kind not in known),
        # Nothing may mean no GPU as well as no knowledge of it; but who is parked has given back what there was.
        complete=bool(said.parts) or state is EngineState.PARKED,
        container_id=said.container_id,
    )
