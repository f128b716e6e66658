"""Decides when engines are parked and woken: on request, under memory pressure, and when no session is open."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping

from service_kit.errors import AnchorError, NotFound, Unsupported
from service_kit.tasks import run_together

from orchestrator.conversation.messages.system_status import Degradation
from orchestrator.conversation.model.degradation import DegradationBoard
from orchestrator.memory_pressure.parkable_engine import ParkableEngine, ParkingState

log = logging.getLogger(__name__)

# The engines' names in messages to clients.
ENGINE_LABELS = {"llm": "the language model", "tts": "the voice", "stt": "speech to text"}
# Under memory pressure, an engine is parked after this idle time: longer than the pause between two turns of a lively
# conversation, so that it is not reloaded for each of them.
PARK_AFTER_IDLE_S = 15.0
# Interval between attempts to park an engine that refused.
_RETRY_REFUSED_S = 10.0
_CHECK_INTERVAL_S = 1.0


class EngineParking:
    """The engines by name. Parks them on request, under memory pressure, and after a long time without sessions."""

    def __init__(
        self,
        engines: Mapping[str, ParkableEngine],
        degradation_board: DegradationBoard,
        *,
        park_all_after_s: float = 0,
        park_requested_after_s: float = PARK_AFTER_IDLE_S,
    ) -> None:
        """`park_all_after_s` without a session parks all engines; 0 for never."""
        self.engines = engines
        self._degradation_board = degradation_board
        self._park_all_after_s = park_all_after_s
        self._park_requested_after_s = park_requested_after_s
        self._sessions = 0
        self._empty_since_s = 0.0
        # Engines whose parking the memory pressure controller has requested.
        self._requested: frozenset[str] = frozenset()
        self._refused_at_s: dict[str, float] = {}
        for engine in engines.values():
            engine.on_change = self._publish

    async def run(self) -> None:
        """Watch all engines, and park idle ones, until cancelled."""
        await run_together(*(engine.run() for engine in self.engines.values()), self._park_idle_engines())

    def on_sessions_changed(self, sessions: int) -> None:
        """Record the number of open sessions; a new one wakes parked engines before its user speaks."""
        increased, self._sessions = sessions > self._sessions, sessions
        if not sessions:
            self._empty_since_s = _now_s()
        if increased:
            self._request_wake(set(self.engines) - self._requested)
        self._publish()

    def request_parking(self, names: Iterable[str]) -> None:
        """Replace the set of engines to park under memory pressure; released ones are woken if a session is open."""
        before, self._requested = self._requested, frozenset(names)
        if self._sessions:
            self._request_wake(before - self._requested)
        self._publish()

    async def park(self, name: str) -> None:
        """Park an engine until it is needed. Raises `NotFound`, `AtCapacity`, or the engine's `AnchorError`."""
        await self._engine(name).park()

    async def wake(self, name: str) -> None:
        """Wake an engine. Raises `NotFound`, or the engine's `AnchorError`."""
        await self._engine(name).wake()

    def describe(self) -> dict[str, dict[str, object]]:
        """Return the engines' states for `/memory`."""
        return {
            name: {
                "state": engine.state.value,
                "in_use": engine.users > 0,
                "wanted": name in self._requested,
                "reason": engine.reason,
            }
            for name, engine in self.engines.items()
        }

    def _engine(self, name: str) -> ParkableEngine:
        if name not in self.engines:
            raise NotFound("memory.unknown_engine", f"no engine {name[:16]!r}, only {', '.join(self.engines)}")
        return self.engines[name]

    def _request_wake(self, names: Iterable[str]) -> None:
        for name in names:
            self.engines[name].request_wake()

    # Automatic parking ----------------------------------------------------------------------------------------------

    async def _park_idle_engines(self) -> None:
        self._empty_since_s = _now_s()
        while True:
            await asyncio.sleep(_CHECK_INTERVAL_S)
            for name, engine in self.engines.items():
                if self._is_due(name, engine):
                    await self._try_park(name, engine)

    def _is_due(self, name: str, engine: ParkableEngine) -> bool:
        now_s = _now_s()
        if not engine.is_idle or now_s - self._refused_at_s.get(name, float("-inf")) < _RETRY_REFUSED_S:
            return False
        if name in self._requested and now_s - engine.idle_since_s >= self._park_requested_after_s:
            return True
        empty_s = now_s - max(self._empty_since_s, engine.idle_since_s)
        return bool(self._park_all_after_s) and not self._sessions and empty_s >= self._park_all_after_s

    async def _try_park(self, name: str, engine: ParkableEngine) -> None:
        try:
            await engine.park()
        except Unsupported:
            # The engine claims to be parkable, but the server that it depends on is not: do not try again.
            self._refused_at_s[name] = float("inf")
        except AnchorError:
            # `ParkableEngine` has logged and counted the error; an engine that serves others is tried again.
            self._refused_at_s[name] = _now_s()

    # Degradation board ----------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        self._degradation_board.publish("engines", tuple(self._degradations()))

    def _degradations(self) -> Iterable[Degradation]:
        for name, engine in self.engines.items():
            if engine.state is ParkingState.WAKING:
                yield Degradation(f"memory.{name}_waking", f"{ENGINE_LABELS[name]} is being woken")
            elif engine.reason:
                yield Degradation(f"memory.{name}_asleep", f"{ENGINE_LABELS[name]} could not be woken: {engine.reason}")


def _now_s() -> float:
    return asyncio.get_running_loop().time()
