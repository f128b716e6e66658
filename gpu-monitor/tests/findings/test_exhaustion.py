"""Prediction of memory exhaustion and of the responsible service."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from gpu_monitor.engine import Device
from gpu_monitor.findings.exhaustion import Exhaustion, ExhaustionCause, ExhaustionDetector
from gpu_monitor.memory.self_report import ReceivedReport, SelfReport
from gpu_monitor.memory.service_memory import ServiceMemory

MIB = 1024**2
TOTAL_MIB = 48_000
# MiB in use at a time in seconds.
Curve = Callable[[float], float]


def constant(mib: float) -> Curve:
    return lambda now_s: mib


NOTHING = constant(0)


class DetectorRun:
    """A detector that receives a reading every `interval_s`."""

    def __init__(self, planned: Mapping[str, float] | None = None, devices: int = 1, interval_s: float = 1) -> None:
        self.interval_s = interval_s
        self.policy = ExhaustionDetector(within_s=120)
        self.planned = planned or {}
        self.now_s = 0.0
        self.indices = range(devices)

    def feed(self, seconds: float, others: Curve = NOTHING, stale: bool = False, **held: Curve):
        """Feed readings of the curves for `seconds`; return the first device's state after each one."""
        found: list[Exhaustion] = []
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            services = [self.service(name, curve(self.now_s), stale) for name, curve in held.items()]
            used = int((others(self.now_s) + sum(curve(self.now_s) for curve in held.values())) * MIB)
            devices = [Device(index, "GPU", "GPU", TOTAL_MIB * MIB, used) for index in self.indices]
            found.append(self.policy.on_reading(self.now_s, devices, services)[0])
            self.now_s += self.interval_s
        return found

    def service(self, name: str, mib: float, stale: bool) -> ServiceMemory:
        planned = int(self.planned[name] * MIB) if name in self.planned else None
        return ServiceMemory(
            name, received=ReceivedReport(SelfReport(other_bytes=int(mib * MIB)), stale=stale), planned_bytes=planned
        )


def causes(found: list[Exhaustion]) -> set[ExhaustionCause]:
    return {each.cause for each in found}


def test_imminent_exhaustion_names_time_and_growing_service():
    found = DetectorRun().feed(30, tts=lambda now_s: 30_000 + 200 * now_s, ollama=constant(8_000))[-1]
    assert (found.cause, found.service) == (ExhaustionCause.GROWTH, "tts")
    assert found.free_bytes == pytest.approx((10_000 - 200 * 29) * MIB)
    assert found.seconds_to_full == pytest.approx(found.free_bytes / (200 * MIB), rel=0.01)


def test_growth_is_detected_with_sparse_readings():
    found = DetectorRun(interval_s=10).feed(60, tts=lambda now_s: 36_000 + 100 * now_s)[-1]
    assert (found.cause, found.service) == (ExhaustionCause.GROWTH, "tts")


def test_unattributed_growth_names_no_service():
    found = DetectorRun().feed(30, others=lambda now_s: 38_000 + 200 * now_s, tts=constant(1_000))[-1]
    assert (found.cause, found.service) == (ExhaustionCause.GROWTH, "")


def test_slow_growth_has_a_time_to_full_but_no_cause():
    found = DetectorRun().feed(60, tts=lambda now_s: 10_000 + 100 * now_s)
    assert causes(found) == {ExhaustionCause.NONE}
    assert found[-1].seconds_to_full == pytest.approx(321, abs=3)


def test_fluctuating_use_is_not_growth():
    found = DetectorRun().feed(300, tts=lambda now_s: 47_900 + 60 * (now_s % 7) / 7)
    assert causes(found) == {ExhaustionCause.NONE}


def test_growth_that_stopped_has_no_time_to_full():
    found = DetectorRun().feed(60, tts=lambda now_s: 30_000 + min(16_000, 400 * now_s) if now_s < 30 else 42_000)
    assert found[20].cause is ExhaustionCause.GROWTH
    assert found[-1].seconds_to_full is None


def test_loading_within_the_plan_has_no_cause():
    planned = {"tts": 20_000, "ollama": 20_000}
    found = DetectorRun(planned).feed(60, tts=lambda now_s: 500 * min(now_s, 39), ollama=constant(20_000))
    assert causes(found) == {ExhaustionCause.NONE}


def test_growth_beyond_the_plan_is_reported():
    planned = {"tts": 20_000, "ollama": 20_000}
    found = DetectorRun(planned).feed(60, tts=lambda now_s: 19_000 + 130 * now_s, ollama=constant(20_000))
    assert (found[-1].cause, found[-1].service) == (ExhaustionCause.GROWTH, "tts")


def test_shortage_of_planned_memory_names_the_service_over_plan():
    run = DetectorRun({"tts": 13_000, "ollama": 17_000})
    found = run.feed(20, tts=constant(25_000), ollama=constant(2_000), others=constant(10_000))
    assert [each.cause for each in found[:10]] == [ExhaustionCause.NONE] * 10
    assert (found[-1].cause, found[-1].service, found[-1].outstanding_bytes) == (
        ExhaustionCause.PLAN,
        "tts",
        15_000 * MIB,
    )


def test_parked_service_still_counts_as_outstanding():
    run = DetectorRun({"tts": 13_000})
    assert run.feed(20, tts=constant(0), others=constant(36_000))[-1].cause is ExhaustionCause.PLAN


def test_shortage_caused_by_others_names_no_service():
    found = DetectorRun({"ollama": 17_000}).feed(20, ollama=constant(0), others=constant(40_000))[-1]
    assert (found.cause, found.service) == (ExhaustionCause.PLAN, "")


@pytest.mark.parametrize("devices", [1, 2])
def test_plan_applies_to_a_single_device_only(devices: int):
    found = DetectorRun({"ollama": 17_000}, devices).feed(20, ollama=constant(0), others=constant(40_000))[-1]
    assert found.cause is (ExhaustionCause.PLAN if devices == 1 else ExhaustionCause.NONE)


def test_stale_service_has_no_outstanding_memory():
    found = DetectorRun({"ollama": 17_000}).feed(20, ollama=constant(0), others=constant(40_000), stale=True)
    assert causes(found) == {ExhaustionCause.NONE}


def test_cause_persists_for_thirty_seconds_after_growth_ends():
    run = DetectorRun()
    run.feed(30, tts=lambda now_s: 30_000 + 400 * now_s)
    after = run.feed(60, tts=constant(20_000))
    assert [(each.cause, each.service) for each in after[:29]] == [(ExhaustionCause.GROWTH, "tts")] * 29
    assert after[-1] == Exhaustion(0, free_bytes=28_000 * MIB)


def test_returning_device_starts_a_new_history():
    run = DetectorRun()
    run.feed(30, tts=lambda now_s: 30_000 + 400 * now_s)
    assert run.policy.on_reading(run.now_s, [], []) == {}
    assert causes(run.feed(2, tts=constant(47_000))) == {ExhaustionCause.NONE}


def test_device_without_total_memory_has_no_cause():
    policy = ExhaustionDetector(within_s=120)
    assert policy.on_reading(0, [Device(0, "GPU", "GPU", 0, 0)], []) == {0: Exhaustion(0)}


def test_history_is_bounded_for_fast_readings():
    policy = ExhaustionDetector(within_s=120)
    for number in range(2000):
        policy.on_reading(number * 0.1, [Device(0, "GPU", "GPU", 100, 10)], [])
    assert len(policy._histories[0].samples) <= 61  # pyright: ignore[reportPrivateUsage]
