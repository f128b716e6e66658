"""One engine that can be parked: counts its users, and serialises parking and waking.

The engine's own state is authoritative and polled continually, so that a restart of either side, or another client that
parks or wakes the engine, is followed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Protocol

from service_kit.errors import AnchorError, AtCapacity, PeerFailed, Unsupported

from orchestrator.metrics import ENGINE_MOVES, ENGINE_PARKED

log = logging.getLogger(__name__)


_POLL_INTERVAL_S = 5.0
_RETRY_S = 2.0


class ParkingState(StrEnum):
    """Whether an engine holds its memory."""

    # The engine cannot be parked.
    FIXED = "fixed"
    AWAKE = "awake"
    PARKING = "parking"
    PARKED = "parked"
    WAKING = "waking"


class EngineControl(Protocol):
    """Reads and changes the parking state of one engine. All methods raise `AnchorError`."""

    async def state(self) -> ParkingState:
        """Return the engine's current state."""
        ...

    async def park(self) -> None:
        """Park the engine; returns when its memory is free."""
        ...

    async def wake(self) -> None:
        """Wake the engine; returns when it can work."""
        ...


def _no_callback() -> None:
    pass


class ParkableEngine:
    """One engine by `name`. `run` watches it; `on_change` is called when `state` or `reason` changes."""

    def __init__(
        self, name: str, engine: EngineControl, *, park_timeout_s: float = 20.0, wake_timeout_s: float = 300.0
    ) -> None:
        self.name = name
        self.on_change: Callable[[], None] = _no_callback
        self._engine = engine
        self._park_timeout_s = park_timeout_s
        self._wake_timeout_s = wake_timeout_s
        self._state = ParkingState.AWAKE
        # Why the last wake failed, in plain words; empty otherwise.
        self.reason = ""
        self.users = 0
        # Whether the last poll succeeded.
        self._reachable = False
        self._transition = asyncio.Lock()
        self._awake = asyncio.Event()
        self._awake.set()
        self._wake_requested = False
        self._changed = asyncio.Event()
        # On the loop's clock; minus infinity until the first use.
        self.idle_since_s = float("-inf")

    @property
    def state(self) -> ParkingState:
        """The last known state."""
        return self._state

    @property
    def is_idle(self) -> bool:
        """Whether the engine is reachable, awake and unused, so that it may be parked."""
        return self._reachable and self._state is ParkingState.AWAKE and not self.users

    @asynccontextmanager
    async def use(self, wait_s: float | None = None) -> AsyncGenerator[None]:
        """Keep the engine awake; wake a parked one, and wait for it at most `wait_s` seconds (None: no limit)."""
        self.users += 1
        try:
            if not self._awake.is_set():
                self.request_wake()
                await self._wait_awake(wait_s)
            yield
        finally:
            self.users -= 1
            self.idle_since_s = asyncio.get_running_loop().time()

    def request_wake(self) -> None:
        """Make `run` wake the engine, unless it is awake; does not wait."""
        if not self._awake.is_set():
            self._wake_requested = True
            self._changed.set()

    def on_found_parked(self) -> None:
        """Record that the engine refused work as parked, which another client must have done, and request a wake."""
        if self._state is ParkingState.AWAKE:
            self._set_state(ParkingState.PARKED)
        self.request_wake()

    async def park(self) -> None:
        """Park the engine. Raises `AtCapacity` while it is in use, and the engine's `AnchorError`."""
        self._require_unused()
        async with self._transition:
            self._require_unused()
            await self._move("park", ParkingState.PARKING, self._engine.park, self._park_timeout_s)

    async def wake(self) -> None:
        """Wake the engine. Raises its `AnchorError`."""
        async with self._transition:
            await self._move("wake", ParkingState.WAKING, self._engine.wake, self._wake_timeout_s)

    async def run(self) -> None:
        """Wake the engine on request, and poll its state, until cancelled."""
        while True:
            self._changed.clear()
            wait_s = _POLL_INTERVAL_S
            try:
                if self._wake_requested:
                    await self.wake()
                else:
                    await self.refresh()
            except AnchorError as error:
                wait_s = _RETRY_S
                log.debug("polling the engine failed", extra={"engine": self.name, "code": error.code})
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def refresh(self) -> None:
        """Poll the engine's state. Raises its `AnchorError`, and then keeps the last known state."""
        if self._transition.locked():
            return
        async with self._transition:
            self._reachable = False
            state = await self._engine.state()
            self._reachable = True
            if state in (ParkingState.PARKING, ParkingState.WAKING):
                # Another client is parking or waking it; the next poll sees the result.
                return
            self._set_state(state)

    async def _move(
        self, move: str, during: ParkingState, work: Callable[[], Awaitable[None]], timeout_s: float
    ) -> None:
        before = self._state
        self._set_state(during)
        try:
            await self._run_within(timeout_s, move, work)
        except AnchorError as error:
            ENGINE_MOVES.labels(self.name, move, error.code).inc()
            log.warning(
                f"engine did not {move}",
                extra={"engine": self.name, "move": move, "code": error.code, "reason": error.message},
            )
            # A failed park may have taken effect nevertheless; the next poll shows it.
            still_parked = during is ParkingState.WAKING and before is ParkingState.PARKED
            if still_parked and isinstance(error, Unsupported):
                # The engine was restarted as one that cannot be parked, so it is awake.
                self._set_state(ParkingState.FIXED)
            else:
                self._set_state(before, error.message if still_parked else "")
            raise
        except BaseException:
            self._set_state(before)
            raise
        ENGINE_MOVES.labels(self.name, move, "").inc()
        log.info("engine parked" if move == "park" else "engine woken", extra={"engine": self.name, "move": move})
        self._set_state(ParkingState.PARKED if during is ParkingState.PARKING else ParkingState.AWAKE)

    async def _run_within(self, timeout_s: float, move: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await work()
        except TimeoutError as error:
            raise PeerFailed(f"{self.name}.{move}_late", f"{move} took more than {timeout_s:g} s") from error

    def _require_unused(self) -> None:
        if self.users:
            raise AtCapacity(f"{self.name}.in_use", "the engine is in use")

    async def _wait_awake(self, wait_s: float | None) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._awake.wait()
        except TimeoutError:
            log.info("engine not awake in time", extra={"engine": self.name, "waited_s": wait_s})

    def _set_state(self, state: ParkingState, reason: str = "") -> None:
        if (state, reason) == (self._state, self.reason):
            return
        if state is ParkingState.AWAKE:
            self.idle_since_s = asyncio.get_running_loop().time()
        self._state, self.reason = state, reason
        if state in (ParkingState.AWAKE, ParkingState.FIXED):
            self._awake.set()
            self._wake_requested = False
        else:
            self._awake.clear()
        ENGINE_PARKED.labels(self.name).set(0 if self._awake.is_set() else 1)
        self.on_change()
