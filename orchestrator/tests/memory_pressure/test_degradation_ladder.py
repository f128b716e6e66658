"""The degradation ladder: steps under pressure, undone in reverse order, without flapping."""

from __future__ import annotations

import math

import pytest
from orchestrator.memory_pressure.degradation_ladder import (
    DegradationLadder,
    LadderAction,
    LadderEvent,
    LadderRules,
    LadderStep,
    MonitorLost,
    PressureLevel,
    PressureReported,
    StepImpossible,
    TakeStep,
    Tick,
    UndoStep,
)

HIGH, CRITICAL, ELEVATED, NONE = (
    PressureReported(PressureLevel.HIGH),
    PressureReported(PressureLevel.CRITICAL),
    PressureReported(PressureLevel.ELEVATED),
    PressureReported(PressureLevel.NONE),
)
ORDER = [LadderStep.SHORT_CONTEXTS, LadderStep.PARKED_MODEL, LadderStep.SMALL_VOICE, LadderStep.TEXT_ONLY]


class Clock:
    """A ladder with a manual clock."""

    def __init__(self, rules: LadderRules | None = None) -> None:
        self.ladder = DegradationLadder(rules)
        self.now_s = 1000.0

    def on(self, event: LadderEvent) -> list[LadderAction]:
        return self.ladder.handle(event, self.now_s)

    def until(self, after_s: float) -> list[tuple[float, LadderAction]]:
        """Return the actions of ticks within the next `after_s` seconds, with their times from now."""
        began_s = self.now_s
        done = []
        while (due_s := self.ladder.due_s) <= began_s + after_s:
            self.now_s = max(self.now_s, due_s)
            done += [(self.now_s - began_s, action) for action in self.on(Tick())]
        self.now_s = began_s + after_s
        return done


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_without_pressure_nothing_is_due(clock):
    assert clock.on(NONE) == []
    assert clock.ladder.due_s == math.inf
    assert clock.on(Tick()) == []


def test_high_pressure_takes_a_step_at_once_then_every_10_s(clock):
    assert clock.on(HIGH) == [TakeStep(LadderStep.SHORT_CONTEXTS)]
    assert clock.until(60) == [(10, TakeStep(ORDER[1])), (20, TakeStep(ORDER[2])), (30, TakeStep(ORDER[3]))]
    assert clock.ladder.steps_taken == tuple(ORDER)


def test_critical_pressure_takes_steps_faster(clock):
    assert clock.on(CRITICAL) == [TakeStep(ORDER[0])]
    assert clock.until(60) == [(3, TakeStep(ORDER[1])), (6, TakeStep(ORDER[2])), (9, TakeStep(ORDER[3]))]


def test_rise_to_critical_shortens_the_current_interval(clock):
    clock.on(HIGH)
    clock.until(4)
    assert clock.on(CRITICAL) == [TakeStep(LadderStep.PARKED_MODEL)]


def test_repeated_level_changes_nothing(clock):
    clock.on(HIGH)
    for _ in range(9):
        clock.now_s += 1
        assert clock.on(HIGH) == []
    clock.now_s += 1
    assert clock.on(HIGH) == [TakeStep(LadderStep.PARKED_MODEL)]


def test_steps_are_undone_in_reverse_order_every_30_s(clock):
    clock.on(HIGH)
    clock.until(10)
    assert clock.on(NONE) == []
    assert clock.until(100) == [(30, UndoStep(ORDER[1])), (60, UndoStep(ORDER[0]))]
    assert clock.ladder.steps_taken == ()


def test_short_relief_undoes_nothing(clock):
    clock.on(HIGH)
    for _ in range(20):
        clock.on(NONE)
        assert clock.until(29) == []
        # The step interval of ten seconds is over: renewed pressure takes the next step.
        clock.on(HIGH)
    assert clock.ladder.steps_taken == tuple(ORDER)


def test_elevated_pressure_takes_no_step(clock):
    assert clock.on(ELEVATED) == []
    assert clock.ladder.due_s == math.inf


def test_elevated_pressure_holds_the_steps_until_it_ends(clock):
    clock.on(HIGH)
    clock.until(10)
    assert clock.on(ELEVATED) == []
    assert clock.until(3600) == []
    assert clock.on(NONE) == []
    assert clock.until(100) == [(30, UndoStep(ORDER[1])), (60, UndoStep(ORDER[0]))]


def test_high_pressure_after_elevated_takes_the_next_step(clock):
    clock.on(HIGH)
    clock.on(ELEVATED)
    assert clock.until(100) == []
    assert clock.on(HIGH) == [TakeStep(LadderStep.PARKED_MODEL)]


def test_pressure_soon_after_an_undo_doubles_the_interval(clock):
    clock.on(HIGH)
    waits = []
    for _ in range(6):
        clock.on(NONE)
        [(after_s, _)] = clock.until(1000)
        waits.append(after_s)
        # Just after the undo, not after the thousand seconds.
        clock.now_s += after_s - 999
        clock.on(HIGH)
        clock.until(10)
    assert waits == [30, 60, 120, 240, 480, 480]


def test_undo_interval_resets_after_a_calm_time(clock):
    clock.on(HIGH)
    clock.on(NONE)
    clock.until(31)
    clock.on(HIGH)
    clock.until(10)
    clock.on(NONE)
    assert clock.until(1000) == [(60, UndoStep(LadderStep.SHORT_CONTEXTS))]
    clock.on(HIGH)
    clock.on(NONE)
    assert clock.until(100) == [(30, UndoStep(LadderStep.SHORT_CONTEXTS))]


def test_impossible_step_is_skipped_at_once(clock):
    clock.on(HIGH)
    clock.now_s += 10
    assert clock.on(Tick()) == [TakeStep(LadderStep.PARKED_MODEL)]
    assert clock.on(StepImpossible(LadderStep.PARKED_MODEL)) == [TakeStep(LadderStep.SMALL_VOICE)]
    assert clock.on(StepImpossible(LadderStep.SMALL_VOICE)) == [TakeStep(LadderStep.TEXT_ONLY)]
    assert clock.on(StepImpossible(LadderStep.TEXT_ONLY)) == []
    assert clock.ladder.steps_taken == (LadderStep.SHORT_CONTEXTS,)
    assert clock.ladder.due_s == math.inf


def test_impossible_step_is_retried_at_the_next_pressure(clock):
    clock.on(HIGH)
    clock.until(10)
    clock.on(StepImpossible(LadderStep.PARKED_MODEL))
    clock.on(NONE)
    clock.until(200)
    assert clock.ladder.steps_taken == ()
    clock.on(HIGH)
    assert clock.until(10) == [(10, TakeStep(LadderStep.PARKED_MODEL))]


def test_lost_monitor_holds_the_level_for_60_s_then_undoes(clock):
    clock.on(HIGH)
    clock.until(10)
    assert clock.on(MonitorLost()) == []
    clock.now_s += 5
    assert clock.on(MonitorLost()) == []
    clock.now_s -= 5
    assert clock.until(200) == [(60, UndoStep(ORDER[1])), (90, UndoStep(ORDER[0]))]


def test_recovered_monitor_finds_the_steps_still_taken(clock):
    clock.on(HIGH)
    clock.on(MonitorLost())
    clock.until(20)
    assert clock.on(HIGH) == [TakeStep(LadderStep.PARKED_MODEL)]
    assert clock.ladder.steps_taken == (LadderStep.SHORT_CONTEXTS, LadderStep.PARKED_MODEL)


def test_absent_monitor_changes_nothing(clock):
    assert clock.on(MonitorLost()) == []
    assert clock.ladder.due_s == math.inf
