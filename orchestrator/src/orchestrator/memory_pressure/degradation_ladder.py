"""The ladder: what is given up, step by step, while the GPU's memory is short, and taken back in reverse order.

Pure: it reads no clock. Events and the time go in, actions come out; `due_s` is when it wants to be asked again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class PressureLevel(IntEnum):
    """How short memory is."""

    NONE = 1
    HIGH = 2
    CRITICAL = 3


class LadderStep(StrEnum):
    """What is given up, the least missed first."""

    SHORT_CONTEXTS = "short_contexts"
    PARKED_MODEL = "parked_model"
    SMALL_VOICE = "small_voice"
    TEXT_ONLY = "text_only"


@dataclass(frozen=True, slots=True)
class PressureReported:
    """The monitor said how short memory is; said again while it lasts, it changes nothing."""

    level: PressureLevel


@dataclass(frozen=True, slots=True)
class MonitorLost:
    """Nobody says any more how short memory is."""


@dataclass(frozen=True, slots=True)
class StepImpossible:
    """A step that was to be taken cannot be taken here, and never will be."""

    step: LadderStep


@dataclass(frozen=True, slots=True)
class Tick:
    """Time went by."""


Event = PressureReported | MonitorLost | StepImpossible | Tick


@dataclass(frozen=True, slots=True)
class TakeStep:
    """Give this up."""

    step: LadderStep


@dataclass(frozen=True, slots=True)
class UndoStep:
    """Take this back."""

    step: LadderStep


Action = TakeStep | UndoStep


@dataclass(frozen=True, slots=True)
class LadderRules:
    """The least time between two steps, in seconds.

    A step frees memory within seconds, so the next one waits to see it (`up_s`), less long when the next allocation may
    fail (`critical_up_s`). What was given up is taken back slowly (`down_s`), since that takes memory again; when the
    pressure is back before that time is over, the next step back waits twice as long, up to `longest_down_s`. Without
    a monitor nothing changes for `blind_s`: a monitor that restarts is back by then, and one that is gone for good
    must not keep the anchor silent for ever.
    """

    up_s: float = 10.0
    critical_up_s: float = 3.0
    down_s: float = 30.0
    longest_down_s: float = 480.0
    blind_s: float = 60.0


class DegradationLadder:
    """Decides about one step at a time."""

    def __init__(self, rules: LadderRules | None = None) -> None:
        self._rules = rules or LadderRules()
        self._taken: list[LadderStep] = []
        self._impossible: set[LadderStep] = set()
        self._level: PressureLevel | None = None
        # When the pressure ended or was lost sight of, and when the last step was made.
        self._eased_s = 0.0
        self._moved_s = -math.inf
        self._undone_s = -math.inf
        self._down_s = self._rules.down_s

    @property
    def taken(self) -> tuple[LadderStep, ...]:
        """What is given up now, in the order in which it was."""
        return tuple(self._taken)

    @property
    def due_s(self) -> float:
        """When a `Tick` will do something; infinity when only news will."""
        if self._level is not None and self._level > PressureLevel.NONE:
            dwell_s = self._rules.critical_up_s if self._level is PressureLevel.CRITICAL else self._rules.up_s
            return self._moved_s + dwell_s if self._next() else math.inf
        if not self._taken:
            return math.inf
        patience_s = self._down_s if self._level is PressureLevel.NONE else max(self._down_s, self._rules.blind_s)
        return max(self._eased_s + patience_s, self._moved_s + self._down_s)

    def handle(self, event: Event, now_s: float) -> list[Action]:
        """What to do about `event`: one step at most. Each is done at once, or reported as `StepImpossible`."""
        match event:
            case PressureReported():
                self._saw(event.level, now_s)
            case MonitorLost():
                if self._level is not None:
                    self._level = None
                    self._eased_s = now_s
            case StepImpossible():
                self._impossible.add(event.step)
                if event.step in self._taken:
                    self._taken.remove(event.step)
                    # It freed nothing: the next one need not wait for its effect.
                    self._moved_s = -math.inf
            case Tick():
                pass
        return self._move(now_s) if now_s >= self.due_s else []

    def _saw(self, level: PressureLevel, now_s: float) -> None:
        before, self._level = self._level, level
        if level is PressureLevel.NONE:
            if before is not PressureLevel.NONE:
                self._eased_s = now_s
        elif before is None or before is PressureLevel.NONE:
            too_soon = now_s - self._undone_s < self._down_s
            self._down_s = min(2 * self._down_s, self._rules.longest_down_s) if too_soon else self._rules.down_s

    def _move(self, now_s: float) -> list[Action]:
        self._moved_s = now_s
        if self._level is not None and self._level > PressureLevel.NONE:
            step = self._next()
            assert step is not None  # noqa: S101 (`due_s` is infinite without one)
            self._taken.append(step)
            return [TakeStep(step)]
        self._undone_s = now_s
        step = self._taken.pop()
        if not self._taken:
            # What kept it from taking a step may be mended by the time of the next pressure.
            self._impossible.clear()
        return [UndoStep(step)]

    def _next(self) -> LadderStep | None:
        return next((step for step in LadderStep if step not in self._taken and step not in self._impossible), None)
