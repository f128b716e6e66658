"""Parking: which engines rest when, and when they are woken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping

from service_kit.errors import AnchorError, NotFound, Unsupported
from service_kit.tasks import run_together

from orchestrator.conversation.messages.system_status import Degradation
from orchestrator.conversation.model.degradation import DegradationBoard
from orchestrator.memory_pressure.parked_engine import ParkedEngine, ParkingState

log = logging.getLogger(__name__)

# What people are told an engine is.
NAMES = {"llm": "the language model", "tts": "the voice", "stt": "speech to text"}
# An engine that memory is wanted of is parked when it has done nothing for so long: the time between two turns of a
# lively talk, so that it is not loaded anew for each of them.
LINGER_S = 15.0
# A park that was refused is asked for again after this.
_AGAIN_AFTER_S = 10.0
_CHECK_EVERY_S = 1.0


class EngineParking:
    """The engines by name. They are parked by hand, for want of memory, and when nobody has been here for long."""

    def __init__(
        self,
        engines: Mapping[str, ParkedEngine],
        degradation_board: DegradationBoard,
        *,
        after_idle_s: float = 0,
        linger_s: float = LINGER_S,
    ) -> None:
        """`after_idle_s` without a session parks all of them; 0 for never."""
        self.engines = engines
        self._degradation_board = degradation_board
        self._after_idle_s = after_idle_s
        self._linger_s = linger_s
        self._sessions = 0
        self._empty_since_s = 0.0
        # Engines that memory is wanted of.
        self._wanted: frozenset[str] = frozenset()
        self._refused_s: dict[str, float] = {}
        for rest in engines.values():
            rest.changed = self._tell

    async def run(self) -> None:
        """Look after all engines until cancelled."""
        await run_together(*(rest.run() for rest in self.engines.values()), self._park_the_idle())

    def on_sessions_changed(self, sessions: int) -> None:
        """So many sessions are open now. One more wakes what is parked, before its user has said a word."""
        came, self._sessions = sessions > self._sessions, sessions
        if not sessions:
            self._empty_since_s = _now_s()
        if came:
            self._rouse(set(self.engines) - self._wanted)
        self._tell()

    def request_parking(self, names: Iterable[str]) -> None:
        """Memory is wanted of these engines, and no longer of others: those are woken while somebody is here."""
        before, self._wanted = self._wanted, frozenset(names)
        if self._sessions:
            self._rouse(before - self._wanted)
        self._tell()

    async def park(self, name: str) -> None:
        """Park an engine until somebody needs it. Raises `NotFound`, `AtCapacity`, or what the engine raises."""
        await self._rest(name).park()

    async def wake(self, name: str) -> None:
        """Wake an engine. Raises `NotFound`, or what the engine raises."""
        await self._rest(name).wake()

    def describe(self) -> dict[str, dict[str, object]]:
        """How the engines are, for people."""
        return {
            name: {
                "state": rest.state.value,
                "in_use": rest.users > 0,
                "wanted": name in self._wanted,
                "reason": rest.reason,
            }
            for name, rest in self.engines.items()
        }

    def _rest(self, name: str) -> ParkedEngine:
        if name not in self.engines:
            raise NotFound("memory.unknown_engine", f"no engine {name[:16]!r}; there are {', '.join(self.engines)}")
        return self.engines[name]

    def _rouse(self, names: Iterable[str]) -> None:
        for name in names:
            self.engines[name].request_wake()

    # Parking by itself ----------------------------------------------------------------------------------------------

    async def _park_the_idle(self) -> None:
        self._empty_since_s = _now_s()
        while True:
            await asyncio.sleep(_CHECK_EVERY_S)
            for name, rest in self.engines.items():
                if self._is_due(name, rest):
                    await self._try_to_park(name, rest)

    def _is_due(self, name: str, rest: ParkedEngine) -> bool:
        now_s = _now_s()
        if not rest.is_idle or now_s - self._refused_s.get(name, float("-inf")) < _AGAIN_AFTER_S:
            return False
        if name in self._wanted and now_s - rest.idle_since_s >= self._linger_s:
            return True
        empty_s = now_s - max(self._empty_since_s, rest.idle_since_s)
        return bool(self._after_idle_s) and not self._sessions and empty_s >= self._after_idle_s

    async def _try_to_park(self, name: str, rest: ParkedEngine) -> None:
        try:
            await rest.park()
        except Unsupported:
            # It says that it can be parked, but what it leans on cannot: asking again is no use.
            self._refused_s[name] = float("inf")
        except AnchorError:
            # The rest has logged and counted it; an engine at work for others is asked again.
            self._refused_s[name] = _now_s()

    # Telling --------------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        self._degradation_board.publish("engines", tuple(self._degradations()))

    def _degradations(self) -> Iterable[Degradation]:
        for name, rest in self.engines.items():
            if rest.state is ParkingState.WAKING:
                yield Degradation(f"memory.{name}_waking", f"{NAMES[name]} wakes; it is there in a moment")
            elif rest.reason:
                yield Degradation(f"memory.{name}_asleep", f"{NAMES[name]} does not wake: {rest.reason}")


def _now_s() -> float:
    return asyncio.get_running_loop().time()
