"""One engine's rest: who uses it, whether it is parked, and one move at a time.

Nothing of this is remembered for the engine: what it says of itself is looked at again and again, so that a restart of
either side, or somebody else who parks it, changes nothing.
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


_LOOK_EVERY_S = 5.0
_RETRY_S = 2.0


class ParkingState(StrEnum):
    """How an engine is, as far as its memory goes."""

    # It holds no memory that it could give back.
    FIXED = "fixed"
    AWAKE = "awake"
    PARKING = "parking"
    PARKED = "parked"
    WAKING = "waking"


class EngineControl(Protocol):
    """An engine whose memory can be asked about and moved. All methods raise `AnchorError`."""

    async def state(self) -> ParkingState:
        """How it is now."""
        ...

    async def park(self) -> None:
        """Give memory back; returns when it is given back."""
        ...

    async def wake(self) -> None:
        """Take it again; returns when the engine can work."""
        ...


def _ignore() -> None:
    pass


class ParkedEngine:
    """The rest of the engine `name`. `run` looks after it; `changed` is called when its state or reason changes."""

    def __init__(
        self, name: str, engine: EngineControl, *, park_within_s: float = 20.0, wake_within_s: float = 300.0
    ) -> None:
        self.name = name
        self.changed: Callable[[], None] = _ignore
        self._engine = engine
        self._park_within_s = park_within_s
        self._wake_within_s = wake_within_s
        self._state = ParkingState.AWAKE
        # Why it does not wake, in plain words; empty when nothing is wrong.
        self.reason = ""
        self.users = 0
        # Whether it answered when it was last looked at.
        self._answers = False
        self._moving = asyncio.Lock()
        self._able = asyncio.Event()
        self._able.set()
        self._wake_wanted = False
        self._news = asyncio.Event()
        # On the loop's clock; never used counts as idle since ever.
        self.idle_since_s = float("-inf")

    @property
    def state(self) -> ParkingState:
        """How the engine is, as far as is known."""
        return self._state

    @property
    def is_idle(self) -> bool:
        """Whether it is there, awake, and could be parked."""
        return self._answers and self._state is ParkingState.AWAKE and not self.users

    @asynccontextmanager
    async def use(self, wait_s: float | None = None) -> AsyncGenerator[None]:
        """Keep the engine awake; one that is not is woken, and waited for `wait_s` seconds (None: for ever)."""
        self.users += 1
        try:
            if not self._able.is_set():
                self.request_wake()
                await self._until_able(wait_s)
            yield
        finally:
            self.users -= 1
            self.idle_since_s = asyncio.get_running_loop().time()

    def request_wake(self) -> None:
        """Have it woken soon, if it is not awake; does not wait."""
        if not self._able.is_set():
            self._wake_wanted = True
            self._news.set()

    def on_found_parked(self) -> None:
        """The engine has just refused work because it is parked: somebody else has done that."""
        if self._state is ParkingState.AWAKE:
            self._move_to(ParkingState.PARKED)
        self.request_wake()

    async def park(self) -> None:
        """Park it. Raises `AtCapacity` while somebody uses it, and any `AnchorError` of the engine's."""
        self._refuse_while_used()
        async with self._moving:
            self._refuse_while_used()
            await self._move("park", ParkingState.PARKING, self._engine.park, self._park_within_s)

    async def wake(self) -> None:
        """Wake it. Raises the engine's `AnchorError`."""
        async with self._moving:
            await self._move("wake", ParkingState.WAKING, self._engine.wake, self._wake_within_s)

    async def run(self) -> None:
        """Wake it when that is wanted, and look how it is, until cancelled."""
        while True:
            self._news.clear()
            wait_s = _LOOK_EVERY_S
            try:
                if self._wake_wanted:
                    await self.wake()
                else:
                    await self.refresh()
            except AnchorError as error:
                wait_s = _RETRY_S
                log.debug("engine's memory not known", extra={"engine": self.name, "code": error.code})
            try:
                async with asyncio.timeout(wait_s):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def refresh(self) -> None:
        """Ask the engine how it is. Raises its `AnchorError`; then it counts as it was."""
        if self._moving.locked():
            return
        async with self._moving:
            self._answers = False
            state = await self._engine.state()
            self._answers = True
            if state in (ParkingState.PARKING, ParkingState.WAKING):
                # Somebody else moves it; what comes of that is seen next time.
                return
            self._move_to(state)

    async def _move(
        self, move: str, during: ParkingState, work: Callable[[], Awaitable[None]], within_s: float
    ) -> None:
        before = self._state
        self._move_to(during)
        try:
            await self._within(move, work, within_s)
        except AnchorError as error:
            ENGINE_MOVES.labels(self.name, move, error.code).inc()
            log.warning(
                "engine not moved",
                extra={"engine": self.name, "move": move, "code": error.code, "reason": error.message},
            )
            # A park that failed may have been carried out all the same; the next look tells.
            sleeps_on = during is ParkingState.WAKING and before is ParkingState.PARKED
            if sleeps_on and isinstance(error, Unsupported):
                # It was restarted as one that cannot be parked, so it is not.
                self._move_to(ParkingState.FIXED)
            else:
                self._move_to(before, error.message if sleeps_on else "")
            raise
        except BaseException:
            self._move_to(before)
            raise
        ENGINE_MOVES.labels(self.name, move, "").inc()
        log.info("engine moved", extra={"engine": self.name, "move": move})
        self._move_to(ParkingState.PARKED if during is ParkingState.PARKING else ParkingState.AWAKE)

    async def _within(self, move: str, work: Callable[[], Awaitable[None]], within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                await work()
        except TimeoutError as error:
            raise PeerFailed(f"{self.name}.{move}_late", f"{move} took more than {within_s:g} s") from error

    def _refuse_while_used(self) -> None:
        if self.users:
            raise AtCapacity(f"{self.name}.in_use", "it is at work for somebody")

    async def _until_able(self, wait_s: float | None) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._able.wait()
        except TimeoutError:
            log.info("engine not awake in time", extra={"engine": self.name, "waited_s": wait_s})

    def _move_to(self, state: ParkingState, reason: str = "") -> None:
        if (state, reason) == (self._state, self.reason):
            return
        if state is ParkingState.AWAKE:
            self.idle_since_s = asyncio.get_running_loop().time()
        self._state, self.reason = state, reason
        if state in (ParkingState.AWAKE, ParkingState.FIXED):
            self._able.set()
            self._wake_wanted = False
        else:
            self._able.clear()
        ENGINE_PARKED.labels(self.name).set(0 if self._able.is_set() else 1)
        self.changed()
