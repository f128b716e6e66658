"""Comparison of services with the memory plan."""

from __future__ import annotations

import pytest
from gpu_monitor.findings.plan_verdict import PlanChecker, PlanVerdict
from gpu_monitor.memory.self_report import EngineState, ReceivedReport, SelfReport
from gpu_monitor.memory.service_memory import ServiceMemory

MIB = 1024**2
PLANNED = 10_000 * MIB


def holding(mib: float, planned: int | None = PLANNED, stale: bool = False, state: EngineState = EngineState.AWAKE):
    received = ReceivedReport(SelfReport(state, other_bytes=int(mib * MIB)), stale=stale)
    return ServiceMemory("tts-service", received=received, planned_bytes=planned)


def verdicts(*services: ServiceMemory, every_s: float = 10.0) -> list[PlanVerdict]:
    policy = PlanChecker(0.05)
    return [policy.on_reading(number * every_s, [service])[service.service] for number, service in enumerate(services)]


@pytest.mark.parametrize(
    ("mib", "then"),
    [
        (10_500, PlanVerdict.WITHIN),
        (10_501, PlanVerdict.OVER),
        (9_500, PlanVerdict.WITHIN),
        (9_499, PlanVerdict.UNDER),
        (0, PlanVerdict.UNDER),
    ],
)
def test_deviation_within_tolerance_is_within_plan(mib: float, then: PlanVerdict):
    assert verdicts(*[holding(mib)] * 4)[-1] is then


@pytest.mark.parametrize(("mib", "then"), [(256, PlanVerdict.WITHIN), (257, PlanVerdict.OVER)])
def test_service_planned_with_zero_bytes_has_a_minimum_tolerance(mib: float, then: PlanVerdict):
    assert verdicts(*[holding(mib, planned=0)] * 4)[-1] is then


def test_deviation_must_last_thirty_seconds():
    over, within = PlanVerdict.OVER, PlanVerdict.WITHIN
    assert verdicts(*[holding(11_000)] * 5) == [within, within, within, over, over]


def test_intermittent_deviation_is_within_plan():
    assert set(verdicts(*[holding(11_000), holding(11_000), holding(10_000)] * 4)) == {PlanVerdict.WITHIN}


def test_verdict_ends_below_half_the_tolerance():
    found = verdicts(*[holding(11_000)] * 4, *[holding(10_400)] * 6, *[holding(10_200)] * 4)
    assert found[3:] == [*[PlanVerdict.OVER] * 10, PlanVerdict.WITHIN]


def test_parked_service_is_not_under_plan():
    assert verdicts(*[holding(500, state=EngineState.PARKED)] * 6)[-1] is PlanVerdict.WITHIN


def test_stale_figures_change_no_verdict():
    assert verdicts(*[holding(11_000)] * 4, *[holding(10_000, stale=True)] * 6)[-1] is PlanVerdict.OVER
    assert verdicts(*[holding(11_000, stale=True)] * 6)[-1] is PlanVerdict.WITHIN


def test_verdict_is_unknown_without_plan_or_figure():
    assert verdicts(holding(11_000, planned=None)) == [PlanVerdict.UNKNOWN]
    assert verdicts(ServiceMemory("tts-service", planned_bytes=PLANNED)) == [PlanVerdict.UNKNOWN]


def test_returning_service_starts_anew():
    policy = PlanChecker(0.05)
    for now_s in (0, 40):
        policy.on_reading(now_s, [holding(11_000)])
    assert policy.on_reading(41, []) == {}
    assert policy.on_reading(42, [holding(11_000)]) == {"tts-service": PlanVerdict.WITHIN}
