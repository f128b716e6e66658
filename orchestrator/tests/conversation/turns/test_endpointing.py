"""The end-of-turn wait: its formula, and the floor learned from a user's pauses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.conversation.messages.server import WaitDecision
from orchestrator.conversation.model.events import Wait
from orchestrator.conversation.turns.dynamic_endpointing import LearnedFloor
from orchestrator.conversation.turns.endpointing import LONGEST_MS, SHORTEST_MS, Endpointing

probabilities = st.floats(min_value=0, max_value=1)
patiences = st.floats(min_value=0.5, max_value=2)


@pytest.mark.parametrize(
    ("probability", "wait_ms"), [(1.0, 300), (0.9, 327), (0.5, 975), (0.2, 2028), (0.0, 3000), (7.0, 300), (-1.0, 3000)]
)
def test_wait_shrinks_with_the_probability(probability, wait_ms):
    assert Endpointing().wait_ms(probability) == wait_ms


@pytest.mark.parametrize(
    ("probability", "patience", "habit_ms", "wait_ms", "decided_by"),
    [
        (0.5, 1.0, 0, 975, "PREDICTION"),
        (0.5, 0.5, 0, 488, "PREDICTION"),
        (0.5, 2.0, 0, 1950, "PREDICTION"),
        (1.0, 1.0, 0, 300, "FLOOR"),
        (1.0, 0.5, 0, 300, "FLOOR"),
        (1.0, 2.0, 0, 600, "PREDICTION"),
        (0.0, 1.0, 0, 3000, "CEILING"),
        (0.1, 2.0, 0, 3000, "CEILING"),
        (0.0, 0.5, 0, 1500, "PREDICTION"),
        (None, 1.0, 0, 700, "NO_JUDGEMENT"),
        (None, 2.0, 0, 1400, "NO_JUDGEMENT"),
        (None, 0.5, 0, 700, "NO_JUDGEMENT"),
        (0.9, 1.0, 600, 600, "HABIT"),
        (0.5, 1.0, 400, 975, "PREDICTION"),
        (None, 1.0, 800, 800, "HABIT"),
    ],
)
def test_wait_names_its_deciding_rule(probability, patience, habit_ms, wait_ms, decided_by):
    assert Endpointing().wait(probability, patience, habit_ms) == Wait(
        wait_ms, WaitDecision[f"WAIT_DECISION_{decided_by}"]
    )


@given(probabilities, patiences, st.integers(0, 800), st.integers(0, 9000), st.integers(0, 9000), st.floats(0.5, 10))
def test_wait_stays_within_the_bounds(probability, patience, habit_ms, floor_ms, ceiling_ms, steepness):
    endpointing = Endpointing(floor_ms, ceiling_ms, steepness=steepness)
    wait = endpointing.wait(probability, patience, habit_ms)
    assert SHORTEST_MS <= wait.ms <= LONGEST_MS


@given(probabilities, probabilities, patiences)
def test_higher_probability_never_waits_longer(one, other, patience):
    surer, doubtful = max(one, other), min(one, other)
    assert Endpointing().wait(surer, patience).ms <= Endpointing().wait(doubtful, patience).ms


def test_learned_floor_grows_with_every_cut_off():
    floor = LearnedFloor()
    floors_ms = []
    for _ in range(3):
        floor.on_cut_off(600)
        floors_ms.append(floor.least_wait_ms)
    assert floors_ms == [400, 600, 700]


def test_learned_floor_is_bounded_and_decays():
    floor = LearnedFloor()
    for _ in range(20):
        floor.on_cut_off(60_000)
    assert floor.least_wait_ms == LearnedFloor.MOST_MS
    turns = 0
    while floor.least_wait_ms:
        floor.on_turn_confirmed()
        turns += 1
    assert 10 <= turns <= 25


def test_shorter_cut_off_does_not_lower_the_learned_floor():
    floor = LearnedFloor()
    floor.on_cut_off(600)
    floor.on_cut_off(0)
    assert floor.least_wait_ms == 400
