"""Whether services keep to their plan."""

from __future__ import annotations

import pytest
from gpu_monitor.findings.plan_verdict import PlanPolicy, Verdict
from gpu_monitor.findings.time_series import Sustained
from gpu_monitor.memory.self_report import EngineState, SelfReport, Told
from gpu_monitor.memory.service_memory import ServiceMemory

MIB = 1024**2
PLANNED = 10_000 * MIB


def holding(mib: float, planned: int | None = PLANNED, stale: bool = False, state: EngineState = EngineState.AWAKE):
    told = Told(SelfReport(state, other_bytes=int(mib * MIB)), stale=stale)
    return ServiceMemory("tts-service", told=told, planned_bytes=planned)


def verdicts(*services: ServiceMemory, every_s: float = 10.0) -> list[Verdict]:
    policy = PlanPolicy(0.05)
    return [policy.on_reading(number * every_s, [service])[service.service] for number, service in enumerate(services)]


@pytest.mark.parametrize(
    ("mib", "then"),
    [
        (10_500, Verdict.WITHIN),
        (10_501, Verdict.OVER),
        (9_500, Verdict.WITHIN),
        (9_499, Verdict.UNDER),
        (0, Verdict.UNDER),
    ],
)
def test_a_share_of_the_plan_is_tolerated(mib: float, then: Verdict):
    assert verdicts(*[holding(mib)] * 4)[-1] is then


@pytest.mark.parametrize(("mib", "then"), [(256, Verdict.WITHIN), (257, Verdict.OVER)])
def test_a_service_that_was_given_nothing_is_over_when_it_takes_more_than_a_little(mib: float, then: Verdict):
    assert verdicts(*[holding(mib, planned=0)] * 4)[-1] is then


def test_a_service_is_over_only_when_it_has_been_for_a_while():
    over, within = Verdict.OVER, Verdict.WITHIN
    assert verdicts(*[holding(11_000)] * 5) == [within, within, within, over, over]


def test_a_service_that_is_over_now_and_then_is_within():
    assert set(verdicts(*[holding(11_000), holding(11_000), holding(10_000)] * 4)) == {Verdict.WITHIN}


def test_a_service_that_wavers_about_the_limit_stays_over_until_it_is_well_within():
    found = verdicts(*[holding(11_000)] * 4, *[holding(10_400)] * 6, *[holding(10_200)] * 4)
    assert found[3:] == [*[Verdict.OVER] * 10, Verdict.WITHIN]


def test_a_parked_service_is_not_under_its_plan():
    assert verdicts(*[holding(500, state=EngineState.PARKED)] * 6)[-1] is Verdict.WITHIN


def test_what_is_stale_changes_no_verdict():
    assert verdicts(*[holding(11_000)] * 4, *[holding(10_000, stale=True)] * 6)[-1] is Verdict.OVER
    assert verdicts(*[holding(11_000, stale=True)] * 6)[-1] is Verdict.WITHIN


def test_nothing_is_said_without_a_plan_or_a_figure():
    assert verdicts(holding(11_000, planned=None)) == [Verdict.UNKNOWN]
    assert verdicts(ServiceMemory("tts-service", planned_bytes=PLANNED)) == [Verdict.UNKNOWN]


def test_a_service_that_vanished_begins_anew():
    policy = PlanPolicy(0.05)
    for now_s in (0, 40):
        policy.on_reading(now_s, [holding(11_000)])
    assert policy.on_reading(41, []) == {}
    assert policy.on_reading(42, [holding(11_000)]) == {"tts-service": Verdict.WITHIN}


def test_a_condition_must_last_to_begin_and_be_gone_to_end():
    sustained = Sustained(begin_s=2, end_s=3)
    readings = [(0, True), (1, False), (2, True), (4, True), (5, False), (6, True), (7, False), (9, False), (10, False)]
    assert [sustained.on_reading(*reading) for reading in readings] == [
        *[False, False, False, True, True],
        *[True, True, True, False],
    ]


def test_what_need_not_last_begins_at_once():
    assert Sustained(begin_s=0, end_s=9).on_reading(5, True)
