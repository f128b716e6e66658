"""Watches the load, and sheds work by the load state machine (`LoadLadder`); each step is a notice to every client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Self

from service_kit.tasks import background

from orchestrator.admission.desk import AdmissionDesk
from orchestrator.admission.load_ladder import LoadLadder, LoadStep
from orchestrator.admission.load_meter import LoadMeter
from orchestrator.conversation.messages.system_status import Degradation
from orchestrator.conversation.model.degradation import DegradationBoard
from orchestrator.metrics import LOAD, LOAD_STEPS, LOAD_STEPS_TAKEN

log = logging.getLogger(__name__)

_INTERVAL_S = 0.25
_MESSAGES = {
    LoadStep.SPECULATION: "many people are speaking: replies are not prepared before a question is over",
    LoadStep.PARTIALS: "many people are speaking: words appear only at the end of a sentence",
    LoadStep.TURN_PREDICTION: "many people are speaking: the end of a question is judged by its words alone",
    LoadStep.NEW_CALLS: "as many people are speaking as can be answered: others wait",
}


class LoadWatch:
    """What is shed now. The meter is fed by speech to text, and by this watch's own timer."""

    def __init__(self, meter: LoadMeter, board: DegradationBoard, ladder: LoadLadder | None = None) -> None:
        self._meter = meter
        self._board = board
        self._ladder = ladder or LoadLadder()

    def sheds(self, step: LoadStep) -> bool:
        """Whether this step is in force."""
        return step in self._ladder.steps_taken

    @asynccontextmanager
    async def running(self, desk: AdmissionDesk) -> AsyncGenerator[Self]:
        """Watch the load inside the context; the last step closes the desk to new callers."""
        async with background(self._watch(desk), "load watch"):
            yield self

    async def _watch(self, desk: AdmissionDesk) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + _INTERVAL_S
            await asyncio.sleep(_INTERVAL_S)
            now_s = loop.time()
            self._meter.on_lag(now_s - due_s, now_s)
            load = self._meter.load(now_s)
            LOAD.set(load)
            if step := self._ladder.observe(load, now_s):
                self._publish(step, load, desk)

    def _publish(self, changed: LoadStep, load: float, desk: AdmissionDesk) -> None:
        """Tell users, operators and the desk what is in force now."""
        taken = self._ladder.steps_taken
        outcome = "taken" if changed in taken else "undone"
        LOAD_STEPS.labels(changed.value, outcome).inc()
        LOAD_STEPS_TAKEN.set(len(taken))
        log.warning("load step", extra={"step": changed.value, "outcome": outcome, "load": round(load, 2)})
        self._board.publish("load", tuple(Degradation(f"load.{step.value}", _MESSAGES[step]) for step in taken))
        desk.set_open(LoadStep.NEW_CALLS not in taken)
