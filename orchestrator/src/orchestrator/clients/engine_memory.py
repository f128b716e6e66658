"""Parks and wakes the engines of other services, over `anchor.memory.v1`."""

from __future__ import annotations

from anchor.memory.v1 import memory_pb2, memory_pb2_grpc
from grpc import aio
from service_kit.errors import AnchorError
from service_kit.rpc.channel import await_response

from orchestrator.memory_pressure.parkable_engine import ParkingState

_STATE_TIMEOUT_S = 2.0
# Longer than any `ParkableEngine` waits, so that its timeout is the one reported.
_MOVE_TIMEOUT_S = 3600.0

_STATES = {
    memory_pb2.ENGINE_STATE_PARKED: ParkingState.PARKED,
    # Another client is parking or waking the engine; the next poll sees the result.
    memory_pb2.ENGINE_STATE_MOVING: ParkingState.WAKING,
}


class RemoteEngineControl:
    """The engine memory API of one service; implements `EngineControl`."""

    def __init__(self, channel: aio.Channel, peer: str) -> None:
        self._stub = memory_pb2_grpc.EngineMemoryServiceStub(channel)
        self._peer = peer

    async def state(self) -> ParkingState:
        """Return the engine's state; FIXED for a service that does not implement the API."""
        try:
            memory = await await_response(
                self._stub.GetMemory(memory_pb2.GetMemoryRequest()), self._peer, _STATE_TIMEOUT_S
            )
        except AnchorError as error:
            if error.code == f"{self._peer}.unimplemented":
                return ParkingState.FIXED
            raise
        return _STATES.get(memory.state, ParkingState.AWAKE) if memory.parkable else ParkingState.FIXED

    async def park(self) -> None:
        """Park the engine; returns when its memory is free."""
        await await_response(self._stub.Park(memory_pb2.ParkRequest()), self._peer, _MOVE_TIMEOUT_S)

    async def wake(self) -> None:
        """Wake the engine; returns when it can work."""
        await await_response(self._stub.Wake(memory_pb2.WakeRequest()), self._peer, _MOVE_TIMEOUT_S)
