"""`/memory`: how short it is, what is parked; parking and waking by hand. For whoever runs the anchor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from fastapi import APIRouter


class ParkingControl(Protocol):
    """Who parks and wakes engines, by name. Both raise `AnchorError`."""

    async def park(self, name: str) -> None: ...

    async def wake(self, name: str) -> None: ...


def routes(parking: ParkingControl, describe: Callable[[], Mapping[str, object]]) -> APIRouter:
    """The door; like all others, it asks for the shared secret where there is one."""
    router = APIRouter(prefix="/memory", tags=["memory"])

    @router.get("", summary="What is given up for want of memory, and how the engines are")
    async def memory() -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction]
        return describe()

    @router.post("/{engine}/park", summary="Give an engine's memory back; 503 while it is at work")
    async def park(engine: str) -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction]
        await parking.park(engine)
        return describe()

    @router.post("/{engine}/wake", summary="Take an engine's memory again; answers when it can work")
    async def wake(engine: str) -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction]
        await parking.wake(engine)
        return describe()

    return router
