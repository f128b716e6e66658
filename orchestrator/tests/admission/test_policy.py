"""The admission policy as a table: what callers do at which second, and what each of them is told."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from orchestrator.admission.policy import AdmissionPolicy, AdmissionRules, StatusChange
from orchestrator.conversation.model.ports import Admitted, PlaceStatus, Refused, Waiting

RULES = AdmissionRules(keep_s=10, max_waiting=2, first_hold_s=40)
ADMITTED = Admitted()

Step = Callable[[AdmissionPolicy, float], object]


def asks(caller: str, *, waits: bool = True, resumes: bool = False) -> Step:
    return lambda policy, now_s: policy.request(caller, now_s, waits=waits, resumes=resumes)


def begins(caller: str) -> Step:
    return lambda policy, now_s: policy.begin_turn(caller)


def ends(caller: str) -> Step:
    return lambda policy, now_s: policy.end_turn(caller, now_s)


def leaves(caller: str) -> Step:
    return lambda policy, now_s: policy.leave(caller, now_s)


def gives_up(caller: str) -> Step:
    return lambda policy, now_s: policy.leave_queue(caller, now_s)


def ticks() -> Step:
    return lambda policy, now_s: policy.tick(now_s)


def capacity(places: int) -> Step:
    return lambda policy, now_s: policy.set_capacity(places, now_s)


def opens(is_open: bool) -> Step:
    return lambda policy, now_s: policy.set_open(is_open, now_s)


def told(caller: str, status: PlaceStatus) -> StatusChange:
    return StatusChange(caller, status)


# Two places. Each row: the second, what happens, and what comes of it.
FULL = [(0, asks("ann"), ADMITTED), (0, begins("ann"), None), (0, asks("ben"), ADMITTED), (0, begins("ben"), None)]

SCENARIOS = {
    "places go to who asks first": [*FULL, (1, asks("cleo"), Waiting(1, 39))],
    "a holder asks again for what it has": [*FULL, (1, asks("ann"), ADMITTED)],
    "who does not wait is refused": [*FULL, (1, asks("cleo", waits=False), Refused(1, 39))],
    "a refused caller would come behind those who wait": [
        *FULL,
        (1, asks("cleo"), Waiting(1, 39)),
        (1, asks("dan", waits=False), Refused(2, 39)),
    ],
    "the queue is bounded": [
        *FULL,
        (1, asks("cleo"), Waiting(1, 39)),
        (1, asks("dan"), Waiting(2, 39)),
        # The third has to wait for a second round.
        (1, asks("eve"), Refused(3, 79)),
    ],
    "asking again keeps the place in the queue": [
        *FULL,
        (1, asks("cleo"), Waiting(1, 39)),
        (1, asks("dan"), Waiting(2, 39)),
        (20, asks("cleo"), Waiting(1, 20)),
    ],
    "a holder that leaves makes room, and those behind move up": [
        *FULL,
        (1, asks("cleo"), Waiting(1, 39)),
        (1, asks("dan"), Waiting(2, 39)),
        # The call lasted 20 s: from now on calls are taken to last 36.
        (20, leaves("ann"), [told("cleo", ADMITTED), told("dan", Waiting(1, 10))]),
    ],
    "a pause between two questions loses no place": [
        *FULL,
        (5, ends("ann"), []),
        (6, asks("cleo"), Waiting(1, 9)),
        (14, ticks(), []),
        (14, begins("ann"), None),
        (30, ticks(), []),
    ],
    "who is silent for long gives way to who waits": [
        *FULL,
        (5, ends("ann"), []),
        (6, asks("cleo"), Waiting(1, 9)),
        (15, ticks(), [told("cleo", ADMITTED)]),
        (16, asks("ann"), Waiting(1, 9)),
    ],
    "who is silent keeps the place while nobody wants it": [
        *FULL,
        (5, ends("ann"), []),
        (500, asks("ann"), ADMITTED),
    ],
    "a new caller takes the place of who was silent for longest": [
        *FULL,
        (4, ends("ben"), []),
        (5, ends("ann"), []),
        (60, asks("cleo"), ADMITTED),
        (60, asks("ann"), ADMITTED),
        (60, asks("ben"), Waiting(1, 10)),
    ],
    "an admitted caller that says nothing loses the place to the next": [
        *FULL,
        (1, asks("cleo"), Waiting(1, 39)),
        (1, asks("dan"), Waiting(2, 39)),
        (20, leaves("ann"), [told("cleo", ADMITTED), told("dan", Waiting(1, 10))]),
        (29, ticks(), []),
        (30, ticks(), [told("dan", ADMITTED)]),
    ],
    "giving up moves the others": [
        *FULL,
        (1, asks("cleo"), Waiting(1, 39)),
        (1, asks("dan"), Waiting(2, 39)),
        (2, gives_up("cleo"), [told("dan", Waiting(1, 38))]),
        (2, leaves("dan"), []),
        (2, asks("eve"), Waiting(1, 38)),
    ],
    "more places admit those who wait": [
        *FULL,
        (1, asks("cleo"), Waiting(1, 39)),
        (2, capacity(3), [told("cleo", ADMITTED)]),
    ],
    "fewer places put nobody out": [
        *FULL,
        (1, capacity(1), []),
        (1, asks("ann"), ADMITTED),
        (1, asks("ben"), ADMITTED),
        (2, asks("cleo"), Waiting(1, 38)),
        (3, leaves("ann"), []),
        (4, leaves("ben"), [told("cleo", ADMITTED)]),
    ],
    "closed to new callers, open to those who are in": [
        (0, asks("ann"), ADMITTED),
        (0, begins("ann"), None),
        (1, opens(False), []),
        (1, asks("ann"), ADMITTED),
        (1, asks("ben", waits=False), Refused(1, 39)),
        (1, asks("ben"), Waiting(1, 39)),
        (2, ticks(), []),
        (3, opens(True), [told("ben", ADMITTED)]),
    ],
    "a turn that was admitted before is admitted over the capacity": [
        *FULL,
        (1, asks("cleo", resumes=True), ADMITTED),
        (1, begins("cleo"), None),
        (2, leaves("ann"), []),
        (2, asks("dan"), Waiting(1, pytest.approx(30.4))),
    ],
}


@pytest.mark.parametrize("steps", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_admission(steps):
    policy = AdmissionPolicy(2, RULES)
    for now_s, step, expected in steps:
        assert step(policy, now_s) == expected


def test_due_time_is_when_the_first_idle_holder_gives_way():
    policy = AdmissionPolicy(2, RULES)
    for now_s, step, _ in FULL:
        step(policy, now_s)
    policy.end_turn("ben", 7)
    assert policy.due_s == math.inf, "nobody waits"
    policy.request("cleo", 8, waits=True)
    assert policy.due_s == 17
    policy.begin_turn("ben")
    assert policy.due_s == math.inf
    policy.end_turn("ben", 9)
    policy.set_open(False, 9)
    assert policy.due_s == math.inf


def test_room_is_seen_without_taking_it():
    policy = AdmissionPolicy(1, RULES)
    assert policy.has_room_for_more(0)
    policy.request("ann", 0, waits=False)
    assert not policy.has_room_for_more(1)
    assert policy.has_room_for_more(10), "she would give way"
    policy.begin_turn("ann")
    assert not policy.has_room_for_more(60)
    assert policy.request("ann", 60, waits=False) == ADMITTED, "asking took nothing from her"
    policy.end_turn("ann", 60)
    policy.set_open(False, 60)
    assert not policy.has_room_for_more(90)


def test_expected_wait_learns_how_long_calls_last():
    policy = AdmissionPolicy(1, RULES)
    now_s = 0.0
    for call in range(40):
        policy.request(f"caller {call}", now_s, waits=False)
        policy.begin_turn(f"caller {call}")
        now_s += 100
        policy.leave(f"caller {call}", now_s)
    policy.request("ann", now_s, waits=False)
    policy.begin_turn("ann")
    assert policy.refusal(now_s).expected_wait_s == pytest.approx(100, abs=1)


def test_many_callers_are_served_in_order_within_the_capacity():
    policy = AdmissionPolicy(5, AdmissionRules(keep_s=1, max_waiting=100))
    callers = [f"caller {number}" for number in range(60)]
    order = [caller for caller in callers if policy.request(caller, 0, waits=True) == ADMITTED]
    for caller in order:
        policy.begin_turn(caller)
    assert (policy.held, policy.waiting) == (5, 55)
    now_s = 0.0
    while policy.waiting:
        now_s += 1
        for change in policy.leave(order[-policy.capacity], now_s):
            if change.status == ADMITTED:
                order.append(change.caller)
                policy.begin_turn(change.caller)
        assert policy.held <= 5
    assert order == callers
