"""The GPU pressure state machine: a ladder of degradation steps, taken under pressure and undone in reverse order.

The state is the number of steps taken; each level includes the steps below it.

    level   step             effect
      0     -                normal operation
      1     short_contexts   the language model receives less history
      2     parked_model     the language model is parked between turns
      3     small_voice      the main voice engine is parked, the fallback voice speaks
      4     text_only        replies are shown, not spoken

    pressure                transition
      HIGH                  one level up at once, then one every 10 s
      CRITICAL              one level up at once, then one every 3 s
      ELEVATED              none: what an undone step would wake does not fit
      NONE                  one level down after 30 s, then one every 30 s; the interval doubles, up to 480 s, when
                            pressure returns before it is over
      monitor lost          none for 60 s, then as for NONE

A step that is impossible in this deployment is skipped (`StepImpossible`), until the ladder is back at level 0.

The machine is pure: it does no I/O and reads no clock. Events and the time go in, actions come out; `due_s` is the time
of the next transition. `MemoryPressureController` runs it. The intervals are those of `LadderRules`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class PressureLevel(IntEnum):
    """GPU memory pressure, as the GPU monitor reports it."""

    NONE = 1
    # Enough memory is free, but not for the parked engines.
    ELEVATED = 2
    HIGH = 3
    CRITICAL = 4


class LadderStep(StrEnum):
    """The degradation steps in the order in which they are taken, the least noticeable first."""

    SHORT_CONTEXTS = "short_contexts"
    PARKED_MODEL = "parked_model"
    SMALL_VOICE = "small_voice"
    TEXT_ONLY = "text_only"


@dataclass(frozen=True, slots=True)
class PressureReported:
    """The monitor reported a level; a repeated level changes nothing."""

    level: PressureLevel


@dataclass(frozen=True, slots=True)
class MonitorLost:
    """The monitor no longer reports."""


@dataclass(frozen=True, slots=True)
class StepImpossible:
    """A step of a `TakeStep` action cannot be taken in this deployment."""

    step: LadderStep


@dataclass(frozen=True, slots=True)
class Tick:
    """`due_s` has passed."""


LadderEvent = PressureReported | MonitorLost | StepImpossible | Tick


@dataclass(frozen=True, slots=True)
class TakeStep:
    """Apply this step."""

    step: LadderStep


@dataclass(frozen=True, slots=True)
class UndoStep:
    """Revert this step."""

    step: LadderStep


LadderAction = TakeStep | UndoStep


@dataclass(frozen=True, slots=True)
class LadderRules:
    """Minimum intervals between transitions, in seconds."""

    # Up: a step frees memory within seconds, so the next one waits for its effect.
    step_interval_s: float = 10.0
    # Up under critical pressure, where the next allocation may fail.
    critical_step_interval_s: float = 3.0
    # Down: slow, since undoing a step takes memory again.
    undo_interval_s: float = 30.0
    # Limit of the down interval, which doubles when pressure returns before it is over.
    max_undo_interval_s: float = 480.0
    # Without a monitor: long enough for a monitor restart; then steps are undone, so that a lost one degrades nothing.
    monitor_lost_hold_s: float = 60.0


class DegradationLadder:
    """The state machine; makes one transition at a time."""

    def __init__(self, rules: LadderRules | None = None) -> None:
        self._rules = rules or LadderRules()
        self._steps_taken: list[LadderStep] = []
        self._impossible: set[LadderStep] = set()
        # The last reported level; None without a monitor.
        self._level: PressureLevel | None = None
        # When the pressure ended or the monitor was lost.
        self._eased_at_s = 0.0
        # When the last transition was made, and the last one down.
        self._moved_at_s = -math.inf
        self._undone_at_s = -math.inf
        self._undo_interval_s = self._rules.undo_interval_s

    @property
    def steps_taken(self) -> tuple[LadderStep, ...]:
        """The steps in force, in the order in which they were taken."""
        return tuple(self._steps_taken)

    @property
    def due_s(self) -> float:
        """When a `Tick` will make a transition; infinity when only another event can."""
        rules = self._rules
        if self._is_short:
            critical = self._level is PressureLevel.CRITICAL
            interval_s = rules.critical_step_interval_s if critical else rules.step_interval_s
            return self._moved_at_s + interval_s if self._next_step() else math.inf
        if not self._steps_taken or self._level is PressureLevel.ELEVATED:
            return math.inf
        hold_s = self._undo_interval_s
        if self._level is None:
            hold_s = max(hold_s, rules.monitor_lost_hold_s)
        return max(self._eased_at_s + hold_s, self._moved_at_s + self._undo_interval_s)

    @property
    def _is_short(self) -> bool:
        return self._level is not None and self._level >= PressureLevel.HIGH

    def handle(self, event: LadderEvent, now_s: float) -> list[LadderAction]:
        """Return the actions after `event`: at most one. The caller applies it, or reports `StepImpossible`."""
        match event:
            case PressureReported():
                self._on_level(event.level, now_s)
            case MonitorLost():
                if self._level is not None:
                    self._level = None
                    self._eased_at_s = now_s
            case StepImpossible():
                self._impossible.add(event.step)
                if event.step in self._steps_taken:
                    self._steps_taken.remove(event.step)
                    # The step freed nothing, so the next one need not wait for its effect.
                    self._moved_at_s = -math.inf
            case Tick():
                pass
        return self._make_transition(now_s) if now_s >= self.due_s else []

    def _on_level(self, level: PressureLevel, now_s: float) -> None:
        before, self._level = self._level, level
        if level is PressureLevel.NONE:
            if before is not PressureLevel.NONE:
                self._eased_at_s = now_s
        elif self._is_short and (before is None or before <= PressureLevel.ELEVATED):
            too_soon = now_s - self._undone_at_s < self._undo_interval_s
            doubled_s = min(2 * self._undo_interval_s, self._rules.max_undo_interval_s)
            self._undo_interval_s = doubled_s if too_soon else self._rules.undo_interval_s

    def _make_transition(self, now_s: float) -> list[LadderAction]:
        self._moved_at_s = now_s
        if self._is_short:
            step = self._next_step()
            assert step is not None  # noqa: S101 (`due_s` is infinite without one)
            self._steps_taken.append(step)
            return [TakeStep(step)]
        self._undone_at_s = now_s
        step = self._steps_taken.pop()
        if not self._steps_taken:
            # The obstacle to a skipped step may be gone by the next pressure.
            self._impossible.clear()
        return [UndoStep(step)]

    def _next_step(self) -> LadderStep | None:
        excluded = {*self._steps_taken, *self._impossible}
        return next((step for step in LadderStep if step not in excluded), None)
