"""The CPU budget limits work to its share of the machine."""

from __future__ import annotations

import os

import pytest
from vad_service.turn_end.cpu_budget import CpuBudget

PROCESSORS = len(os.sched_getaffinity(0))


class Machine:
    """A clock and a thread's CPU time, both advanced by hand."""

    def __init__(self):
        self.now_s = 100.0
        self.cpu_time_s = 0.0

    def work(self, cost_s: float) -> str:
        self.cpu_time_s += cost_s
        self.now_s += cost_s
        return "done"


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def budget(machine):
    return CpuBudget(0.1 / PROCESSORS, lambda: machine.now_s, lambda: machine.cpu_time_s)


def test_an_hour_of_work_uses_no_more_than_the_share(machine, budget):
    started_s = machine.now_s
    while machine.now_s < started_s + 3600:
        machine.now_s += 0.05
        budget.run_if_affordable(lambda: machine.work(0.1))
    assert machine.cpu_time_s == pytest.approx(360, rel=0.01)


def test_a_full_budget_affords_a_burst_of_a_dozen(machine, budget):
    assert [budget.run_if_affordable(lambda: machine.work(0.08)) for _ in range(12)] == ["done"] * 12
    assert [budget.run_if_affordable(lambda: machine.work(0.08)) for _ in range(12)].count(None) >= 10


def test_failed_work_is_charged(machine, budget):
    def break_down():
        machine.work(5.0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        budget.run_if_affordable(break_down)
    assert budget.run_if_affordable(lambda: machine.work(0.1)) is None
