"""`/memory`, for operators: reports memory pressure and parked engines; parks and wakes engines on request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from fastapi import APIRouter


class ParkingControl(Protocol):
    """Parks and wakes engines by name. Both methods raise `AnchorError`."""

    async def park(self, name: str) -> None: ...

    async def wake(self, name: str) -> None: ...


def routes(parking: ParkingControl, describe: Callable[[], Mapping[str, object]]) -> APIRouter:
    """Return the router of `/memory`; `describe` yields the report."""
    router = APIRouter(prefix="/memory", tags=["memory"])

    @router.get("", summary="Degradation steps in force, and the state of each engine")
    async def memory() -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction]
        return describe()

    @router.post("/{engine}/park", summary="Park an engine, freeing its memory; 503 while it is in use")
    async def park(engine: str) -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction]
        await parking.park(engine)
        return describe()

    @router.post("/{engine}/wake", summary="Wake an engine; responds when it can work again")
    async def wake(engine: str) -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction]
        await parking.wake(engine)
        return describe()

    return router
