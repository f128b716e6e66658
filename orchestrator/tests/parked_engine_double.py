"""An engine in memory that can be parked."""

from __future__ import annotations

import asyncio

from orchestrator.memory_pressure.parked_engine import ParkingState
from service_kit.errors import AnchorError


class Engine:
    """Takes `move_s` to move, or fails at it."""

    def __init__(self, state: ParkingState = ParkingState.AWAKE) -> None:
        self.now = state
        self.move_s = 0.0
        self.failure: Exception | None = None
        self.away: AnchorError | None = None
        self.moves: list[str] = []

    async def state(self) -> ParkingState:
        if self.away:
            raise self.away
        return self.now

    async def park(self) -> None:
        await self._move("park", ParkingState.PARKED)

    async def wake(self) -> None:
        await self._move("wake", ParkingState.AWAKE)

    async def _move(self, name: str, to: ParkingState) -> None:
        self.moves.append(name)
        await asyncio.sleep(self.move_s)
        if self.failure:
            raise self.failure
        self.now = to
