"""Asks one of the project's services over `anchor.memory.v1`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from anchor.memory.v1 import memory_pb2, memory_pb2_grpc
from grpc import aio
from service_kit.engines.memory import MemoryKind
from service_kit.errors import from_rpc_error
from service_kit.rpc.channel import open_channel

from gpu_monitor.memory.self_report import EngineState, FetchReport, SelfReport


class EngineMemoryReporter:
    """Reporter for the service at gRPC address `target` (`host:port`)."""

    def __init__(self, service: str, target: str) -> None:
        self.service = service
        self._target = target

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[FetchReport]:
        async with open_channel(self._target) as channel:
            stub = memory_pb2_grpc.EngineMemoryServiceStub(channel)

            async def fetch() -> SelfReport:
                try:
                    return to_self_report(await stub.GetMemory(memory_pb2.GetMemoryRequest()))
                except aio.AioRpcError as error:
                    raise from_rpc_error(error, self.service) from error

            yield fetch


def to_self_report(response: memory_pb2.GetMemoryResponse) -> SelfReport:
    """Convert a response. Memory kinds unknown to this version are summed into `other_bytes`."""
    known = {kind.value for kind in MemoryKind}
    state = EngineState(response.state) if response.state in set(EngineState) else EngineState.UNKNOWN
    return SelfReport(
        state=state,
        models=(response.model,) if response.model else (),
        parts={MemoryKind(part.kind): part.bytes for part in response.parts if part.kind in known},
        other_bytes=sum(part.bytes for part in response.parts if part.kind not in known),
        # Without parts the engine either has no GPU or does not know; a parked engine has released everything.
        complete=bool(response.parts) or state is EngineState.PARKED,
        container_id=response.container_id,
    )
