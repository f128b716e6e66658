"""Runs the GPU pressure state machine (`DegradationLadder`): applies its actions, and publishes its state.

Replies read the degraded mode only when they start, and engines are parked only while they are unused, so a step never
cuts off a reply in progress. After a restart the ladder starts at level 0: engines that are parked by then are found
parked, and lasting pressure takes the same steps again.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Self

from service_kit.tasks import background, run_together

from orchestrator.conversation.messages.system_status import Degradation
from orchestrator.conversation.model.degradation import DegradationBoard, DegradedMode
from orchestrator.memory_pressure.degradation_ladder import (
    DegradationLadder,
    LadderAction,
    LadderEvent,
    LadderStep,
    MonitorLost,
    PressureLevel,
    PressureReported,
    StepImpossible,
    TakeStep,
    Tick,
)
from orchestrator.memory_pressure.engine_parking import EngineParking
from orchestrator.memory_pressure.parkable_engine import ParkingState
from orchestrator.metrics import MEMORY_STEPS, MEMORY_STEPS_TAKEN

log = logging.getLogger(__name__)


_MESSAGES = {
    LadderStep.SHORT_CONTEXTS: "GPU memory is short: the anchor remembers less of the conversation",
    LadderStep.PARKED_MODEL: "GPU memory is short: the language model is parked between turns",
    LadderStep.SMALL_VOICE: "GPU memory is short: a smaller voice speaks",
    LadderStep.TEXT_ONLY: "GPU memory is short: replies are shown, not spoken",
}
# The engine that each step parks.
_PARKED_ENGINES = {LadderStep.PARKED_MODEL: "llm", LadderStep.SMALL_VOICE: "tts", LadderStep.TEXT_ONLY: "tts"}


class MemoryPressureController:
    """Runs the ladder and `parking` while its context is open."""

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
        # The monitor's latest event, until the ladder has handled it; earlier ones are superseded.
        self._latest: LadderEvent | None = None
        self._changed = asyncio.Event()
        self._degraded_mode = DegradedMode()
        # Impossible steps, with the reason.
        self._skipped: dict[LadderStep, str] = {}

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self]:
        """Run the ladder and the parking of engines inside the context."""
        MEMORY_STEPS_TAKEN.set(0)
        async with background(run_together(self._run_ladder(), self._parking.run()), "memory pressure controller"):
            yield self

    def degraded_mode(self) -> DegradedMode:
        """Return the degraded mode for a reply that starts now."""
        return self._degraded_mode

    def on_pressure(self, level: PressureLevel | None) -> None:
        """Take the monitor's latest level; None when the monitor is lost."""
        self._latest = MonitorLost() if level is None else PressureReported(level)
        self._changed.set()

    def describe(self) -> dict[str, object]:
        """Return the state for `/memory`."""
        return {
            "steps": [step.value for step in self._ladder.steps_taken],
            "skipped": {step.value: reason for step, reason in self._skipped.items()},
            "engines": self._parking.describe(),
        }

    async def _run_ladder(self) -> None:
        while True:
            await self._wait_until_due()
            event, self._latest = self._latest or Tick(), None
            self._changed.clear()
            self._apply_actions(self._ladder.handle(event, _now_s()))

    async def _wait_until_due(self) -> None:
        due_s = self._ladder.due_s
        try:
            async with asyncio.timeout_at(None if due_s == math.inf else max(due_s, _now_s())):
                await self._changed.wait()
        except TimeoutError:
            return

    def _apply_actions(self, actions: list[LadderAction]) -> None:
        while actions:
            action = actions.pop(0)
            if not isinstance(action, TakeStep):
                self._record_step(action.step, "undone")
            elif reason := self._obstacle(action.step):
                self._skipped[action.step] = reason
                self._record_step(action.step, "skipped", reason)
                actions += self._ladder.handle(StepImpossible(action.step), _now_s())
            else:
                self._skipped.pop(action.step, None)
                self._record_step(action.step, "taken")
        self._publish_state()

    def _publish_state(self) -> None:
        """Update the degraded mode, parking requests, metrics and degradation board from the ladder's state."""
        taken = self._ladder.steps_taken
        self._degraded_mode = DegradedMode(
            short_contexts=LadderStep.SHORT_CONTEXTS in taken,
            small_voice=LadderStep.SMALL_VOICE in taken,
            text_only=LadderStep.TEXT_ONLY in taken,
        )
        if not taken:
            self._skipped.clear()
        MEMORY_STEPS_TAKEN.set(len(taken))
        self._parking.request_parking({_PARKED_ENGINES[step] for step in taken if step in _PARKED_ENGINES})
        self._degradation_board.publish(
            "steps", tuple(Degradation(f"memory.{step.value}", _MESSAGES[step]) for step in taken)
        )

    def _obstacle(self, step: LadderStep) -> str:
        """Return why a step is impossible in this deployment; empty when it is possible."""
        name = _PARKED_ENGINES.get(step)
        engine = self._parking.engines.get(name) if name else None
        if name and (engine is None or engine.state is ParkingState.FIXED):
            return f"{name} cannot be parked"
        if step is LadderStep.SMALL_VOICE and not self._has_small_voice:
            return "TTS_FALLBACK_TARGET names no other voice"
        return ""

    def _record_step(self, step: LadderStep, outcome: str, reason: str = "") -> None:
        MEMORY_STEPS.labels(step.value, outcome).inc()
        log.log(
            logging.INFO if outcome == "undone" else logging.WARNING,
            "memory step",
            extra={"step": step.value, "outcome": outcome, "reason": reason},
        )


def _now_s() -> float:
    return asyncio.get_running_loop().time()
