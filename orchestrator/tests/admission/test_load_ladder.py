"""The load state machine as a table: samples of the load by second, and the steps in force after each."""

from __future__ import annotations

import pytest
from orchestrator.admission.load_ladder import LoadLadder, LoadRules, LoadStep

RULES = LoadRules(take_after_s=2, undo_after_s=10, ease=0.5)
SPECULATION, PARTIALS, TURN_PREDICTION, NEW_CALLS = LoadStep


def steps(number: int) -> tuple[LoadStep, ...]:
    return tuple(LoadStep)[:number]


SCENARIOS = {
    "a short peak sheds nothing": [(0, 3.0, 0), (1, 3.0, 0), (1.9, 0.9, 0), (2, 3.0, 0), (3, 3.0, 0)],
    "lasting load takes one step after the other": [
        *((0, 1.2, 0), (1, 1.2, 0), (2, 1.2, 1), (3, 1.2, 1), (4, 1.2, 2), (6, 1.2, 3), (8, 9.0, 4)),
        # There is nothing left to shed.
        *((10, 9.0, 4), (12, 9.0, 4)),
    ],
    "a step that helps is the last one": [(0, 1.2, 0), (2, 1.2, 1), (3, 0.9, 1), (60, 0.9, 1)],
    "steps are undone in reverse, each after a calm time": [
        *((0, 2, 0), (2, 2, 1), (4, 2, 2), (5, 0.1, 2), (14, 0.1, 2)),
        *((15, 0.1, 1), (16, 0.1, 1), (25, 0.1, 0), (40, 0.1, 0)),
    ],
    "a calm that is interrupted starts anew": [
        *((0, 2, 0), (2, 2, 1), (3, 0.1, 1), (12, 0.6, 1), (13, 0.1, 1), (22, 0.1, 1), (23, 0.1, 0)),
    ],
}


@pytest.mark.parametrize("samples", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_load_ladder(samples):
    ladder = LoadLadder(RULES)
    for now_s, load, taken in samples:
        before = ladder.steps_taken
        step = ladder.observe(load, now_s)
        assert ladder.steps_taken == steps(taken), now_s
        assert step == next(iter(set(before) ^ set(ladder.steps_taken)), None), now_s


def test_new_calls_are_shed_last():
    assert list(LoadStep) == [SPECULATION, PARTIALS, TURN_PREDICTION, NEW_CALLS]
