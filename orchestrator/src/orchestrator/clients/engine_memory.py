"""The engines that other services run, as what may be parked."""

from __future__ import annotations

from anchor.memory.v1 import memory_pb2, memory_pb2_grpc
from grpc import aio
from service_kit.errors import AnchorError
from service_kit.rpc.channel import await_response

from orchestrator.memory_pressure.parked_engine import ParkingState

_LOOK_WITHIN_S = 2.0
# Longer than the rest that asks for it gives it: who is late is told by that one.
_MOVE_WITHIN_S = 3600.0

_STATES = {
    memory_pb2.ENGINE_STATE_PARKED: ParkingState.PARKED,
    # What comes of a move that somebody else asked for is seen when it is over.
    memory_pb2.ENGINE_STATE_MOVING: ParkingState.WAKING,
}


class ServiceParking:
    """`anchor.memory.v1` of one service; implements `RestingEngine`."""

    def __init__(self, channel: aio.Channel, peer: str) -> None:
        self._stub = memory_pb2_grpc.EngineMemoryServiceStub(channel)
        self._peer = peer

    async def state(self) -> ParkingState:
        """How the engine is. A service that does not know the contract holds nothing that it could give back."""
        try:
            told = await await_response(self._stub.GetMemory(memory_pb2.GetMemoryRequest()), self._peer, _LOOK_WITHIN_S)
        except AnchorError as error:
            if error.code == f"{self._peer}.unimplemented":
                return ParkingState.FIXED
            raise
        return _STATES.get(told.state, ParkingState.AWAKE) if told.parkable else ParkingState.FIXED

    async def park(self) -> None:
        """Have the engine parked."""
        await await_response(self._stub.Park(memory_pb2.ParkRequest()), self._peer, _MOVE_WITHIN_S)

    async def wake(self) -> None:
        """Have the engine woken."""
        await await_response(self._stub.Wake(memory_pb2.WakeRequest()), self._peer, _MOVE_WITHIN_S)
