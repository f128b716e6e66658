"""Relief: carries out what the ladder decides, and says so everywhere.

What is given up is only ever looked at when a reply begins, and an engine is only parked when nobody uses it: no reply
that sounds is cut off. After a restart the ladder stands on the floor; what is parked by then is seen as parked, and
pressure that lasts takes the same steps again.
"""

from __future__ import annotations

import asyncio
import logging
import math
from types import TracebackType
from typing import Self

from service_kit.tasks import run_together, start_task, stop_task

from orchestrator.conversation.messages.system_status import Degradation
from orchestrator.conversation.model.degradation import DegradationBoard, DegradedMode
from orchestrator.memory_pressure.degradation_ladder import (
    Action,
    DegradationLadder,
    Event,
    LadderStep,
    MonitorLost,
    PressureLevel,
    PressureReported,
    StepImpossible,
    TakeStep,
    Tick,
)
from orchestrator.memory_pressure.engine_parking import EngineParking
from orchestrator.memory_pressure.parked_engine import ParkingState
from orchestrator.metrics import MEMORY_STEPS, MEMORY_STEPS_TAKEN

log = logging.getLogger(__name__)


_TOLD = {
    LadderStep.SHORT_CONTEXTS: "the GPU's memory is short: the anchor looks back less far",
    LadderStep.PARKED_MODEL: "the GPU's memory is short: the language model engines between turns",
    LadderStep.SMALL_VOICE: "the GPU's memory is short: a smaller voice speaks",
    LadderStep.TEXT_ONLY: "the GPU's memory is short: replies are shown, not spoken",
}
# Engines that memory is wanted of, by step.
_PARKS = {LadderStep.PARKED_MODEL: "llm", LadderStep.SMALL_VOICE: "tts", LadderStep.TEXT_ONLY: "tts"}


class MemoryPressureController:
    """Owns the ladder from entering the context to leaving it, and looks after `parking`."""

    def __init__(
        self,
        ladder: DegradationLadder,
        parking: EngineParking,
        degradation_board: DegradationBoard,
        *,
        has_small_voice: bool,
    ) -> None:
        self._ladder = ladder
        self._parking = parking
        self._degradation_board = degradation_board
        self._has_small_voice = has_small_voice
        # The latest word of the monitor; what it said before that does not matter any more.
        self._latest: Event | None = None
        self._news = asyncio.Event()
        self._savings = DegradedMode()
        # Steps that could not be taken, and why.
        self._skipped: dict[LadderStep, str] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        MEMORY_STEPS_TAKEN.set(0)
        self._task = start_task(run_together(self._climb(), self._parking.run()), "memory memory_controller")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await stop_task(self._task)

    def degraded_mode(self) -> DegradedMode:
        """What a reply that begins now does without."""
        return self._savings

    def on_pressure(self, level: PressureLevel | None) -> None:
        """The monitor says how short memory is; None when there is no monitor any more."""
        self._latest = MonitorLost() if level is None else PressureReported(level)
        self._news.set()

    def describe(self) -> dict[str, object]:
        """How it stands, for people."""
        return {
            "steps": [step.value for step in self._ladder.taken],
            "skipped": {step.value: why for step, why in self._skipped.items()},
            "engines": self._parking.describe(),
        }

    async def _climb(self) -> None:
        while True:
            await self._until_due()
            event, self._latest = self._latest or Tick(), None
            self._news.clear()
            self._do(self._ladder.handle(event, _now_s()))

    async def _until_due(self) -> None:
        due_s = self._ladder.due_s
        try:
            async with asyncio.timeout_at(None if due_s == math.inf else max(due_s, _now_s())):
                await self._news.wait()
        except TimeoutError:
            return

    def _do(self, actions: list[Action]) -> None:
        while actions:
            action = actions.pop(0)
            if not isinstance(action, TakeStep):
                self._said(action.step, "undone")
            elif why := self._why_not(action.step):
                self._skipped[action.step] = why
                self._said(action.step, "skipped", why)
                actions += self._ladder.handle(StepImpossible(action.step), _now_s())
            else:
                self._skipped.pop(action.step, None)
                self._said(action.step, "taken")
        self._apply()

    def _apply(self) -> None:
        """Make what is so what the ladder says."""
        taken = self._ladder.taken
        self._savings = DegradedMode(
            short_contexts=LadderStep.SHORT_CONTEXTS in taken,
            small_voice=LadderStep.SMALL_VOICE in taken,
            text_only=LadderStep.TEXT_ONLY in taken,
        )
        if not taken:
            self._skipped.clear()
        MEMORY_STEPS_TAKEN.set(len(taken))
        self._parking.request_parking({_PARKS[step] for step in taken if step in _PARKS})
        self._degradation_board.publish(
            "steps", tuple(Degradation(f"memory.{step.value}", _TOLD[step]) for step in taken)
        )

    def _why_not(self, step: LadderStep) -> str:
        """Why a step cannot be taken here; empty when it can."""
        engine = _PARKS.get(step)
        rest = self._parking.engines.get(engine) if engine else None
        if engine and (rest is None or rest.state is ParkingState.FIXED):
            return f"{engine} holds no memory that it could give back"
        if step is LadderStep.SMALL_VOICE and not self._has_small_voice:
            return "TTS_FALLBACK_TARGET names no other voice"
        return ""

    def _said(self, step: LadderStep, outcome: str, why: str = "") -> None:
        MEMORY_STEPS.labels(step.value, outcome).inc()
        log.log(
            logging.INFO if outcome == "undone" else logging.WARNING,
            "memory step",
            extra={"step": step.value, "outcome": outcome, "reason": why},
        )


def _now_s() -> float:
    return asyncio.get_running_loop().time()
