"""A fake `EngineControl`."""

from __future__ import annotations

import asyncio

from orchestrator.memory_pressure.parkable_engine import ParkingState
from service_kit.errors import AnchorError


class FakeEngineControl:
    """Parks and wakes within `move_s`, or raises `failure`."""

    def __init__(self, state: ParkingState = ParkingState.AWAKE) -> None:
        self.current_state = state
        self.move_s = 0.0
        self.failure: Exception | None = None
        self.unreachable: AnchorError | None = None
        self.moves: list[str] = []

    async def state(self) -> ParkingState:
        if self.unreachable:
            raise self.unreachable
        return self.current_state

    async def park(self) -> None:
        await self._move("park", ParkingState.PARKED)

    async def wake(self) -> None:
        await self._move("wake", ParkingState.AWAKE)

    async def _move(self, name: str, to: ParkingState) -> None:
        self.moves.append(name)
        await asyncio.sleep(self.move_s)
        if self.failure:
            raise self.failure
        self.current_state = to
