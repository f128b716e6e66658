"""A share of the machine, and no more."""

from __future__ import annotations

import os

import pytest
from vad_service.turn_end.cpu_budget import Thrift

PROCESSORS = len(os.sched_getaffinity(0))


class Machine:
    """A clock and a thread's processor time, both moved by hand."""

    def __init__(self):
        self.now_s = 100.0
        self.worked_s = 0.0

    def work(self, cost_s: float) -> str:
        self.worked_s += cost_s
        self.now_s += cost_s
        return "done"


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def thrift(machine):
    return Thrift(0.1 / PROCESSORS, lambda: machine.now_s, lambda: machine.worked_s)


def test_over_an_hour_no_more_than_the_share_is_spent(machine, thrift):
    began_s = machine.now_s
    while machine.now_s < began_s + 3600:
        machine.now_s += 0.05
        thrift.afford(lambda: machine.work(0.1))
    assert machine.worked_s == pytest.approx(360, rel=0.01)


def test_a_dozen_at_once_are_afforded_after_a_rest(machine, thrift):
    assert [thrift.afford(lambda: machine.work(0.08)) for _ in range(12)] == ["done"] * 12
    assert [thrift.afford(lambda: machine.work(0.08)) for _ in range(12)].count(None) >= 10


def test_what_fails_is_spent_too(machine, thrift):
    def break_down():
        machine.work(5.0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        thrift.afford(break_down)
    assert thrift.afford(lambda: machine.work(0.1)) is None
