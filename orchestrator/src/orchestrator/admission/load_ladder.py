"""The load state machine: what is left out while the machine is too busy, in the order in which it is missed least.

    step             effect
    speculation      replies are not begun before a turn is over
    partials         speech to text transcribes at the end of speech only
    turn_prediction  turn detection does not predict the ends of turns
    new_calls        no caller is admitted beyond those who hold a place

    load             transition
      over 1         the next step after `take_after_s` of it, and one more after each further `take_after_s`
      under `ease`   the last step is undone after `undo_after_s` of it, and one more after each further `undo_after_s`
      between        none

Load is relative: 1 is the most with which turns are still answered in time. The machine is pure: samples of the load
and the time go in, steps come out. `LoadWatch` runs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LoadStep(StrEnum):
    """The steps in the order in which they are taken; they are undone in reverse."""

    SPECULATION = "speculation"
    PARTIALS = "partials"
    TURN_PREDICTION = "turn_prediction"
    NEW_CALLS = "new_calls"


_ORDER = tuple(LoadStep)


@dataclass(frozen=True, slots=True)
class LoadRules:
    """Times in seconds."""

    take_after_s: float = 1.5
    undo_after_s: float = 10.0
    # A load below this is low enough to undo steps: the work of a step must not bring the load back above 1.
    ease: float = 0.5


class LoadLadder:
    """The steps in force: always the first ones of the order."""

    def __init__(self, rules: LoadRules | None = None) -> None:
        self._rules = rules or LoadRules()
        self._taken = 0
        # Since when the load is over 1 or low, or since the last step; None in between.
        self._high_since_s: float | None = None
        self._low_since_s: float | None = None

    @property
    def steps_taken(self) -> tuple[LoadStep, ...]:
        """The steps in force, in order."""
        return _ORDER[: self._taken]

    def observe(self, load: float, now_s: float) -> LoadStep | None:
        """Record a sample of the load; return the step that is taken or undone by it."""
        is_high, is_low = load > 1, load < self._rules.ease
        self._high_since_s = (now_s if self._high_since_s is None else self._high_since_s) if is_high else None
        self._low_since_s = (now_s if self._low_since_s is None else self._low_since_s) if is_low else None
        if self._high_since_s is not None and self._taken < len(_ORDER):
            if now_s - self._high_since_s >= self._rules.take_after_s:
                self._high_since_s = now_s
                self._taken += 1
                return _ORDER[self._taken - 1]
        elif self._low_since_s is not None and self._taken and now_s - self._low_since_s >= self._rules.undo_after_s:
            self._low_since_s = now_s
            self._taken -= 1
            return _ORDER[self._taken]
        return None
