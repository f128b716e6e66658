"""When a device is about to run out of memory, and who is named for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from gpu_monitor.engine import Device
from gpu_monitor.findings.exhaustion import Cause, Exhaustion, ExhaustionPolicy
from gpu_monitor.memory.self_report import SelfReport, Told
from gpu_monitor.memory.service_memory import ServiceMemory

MIB = 1024**2
TOTAL_MIB = 48_000
# MiB held by services at a time in seconds.
Curve = Callable[[float], float]


def constant(mib: float) -> Curve:
    return lambda now_s: mib


NOTHING = constant(0)


class Followed:
    """A policy fed every `interval_s` with what services hold and others use beside them."""

    def __init__(self, planned: Mapping[str, float] | None = None, devices: int = 1, interval_s: float = 1) -> None:
        self.interval_s = interval_s
        self.policy = ExhaustionPolicy(within_s=120)
        self.planned = planned or {}
        self.now_s = 0.0
        self.indices = range(devices)

    def through(self, seconds: float, others: Curve = NOTHING, stale: bool = False, **held: Curve):
        """What was found of the first device each time."""
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
            name, told=Told(SelfReport(other_bytes=int(mib * MIB)), stale=stale), planned_bytes=planned
        )


def causes(found: list[Exhaustion]) -> set[Cause]:
    return {each.cause for each in found}


def test_growth_that_will_soon_fill_the_device_is_told_with_the_time_and_the_grower():
    found = Followed().through(30, tts=lambda now_s: 30_000 + 200 * now_s, ollama=constant(8_000))[-1]
    assert (found.cause, found.service) == (Cause.GROWTH, "tts")
    assert found.free_bytes == pytest.approx((10_000 - 200 * 29) * MIB)
    assert found.seconds_to_full == pytest.approx(found.free_bytes / (200 * MIB), rel=0.01)


def test_growth_is_seen_by_a_driver_that_is_read_rarely():
    found = Followed(interval_s=10).through(60, tts=lambda now_s: 36_000 + 100 * now_s)[-1]
    assert (found.cause, found.service) == (Cause.GROWTH, "tts")


def test_growth_of_nobody_known_names_nobody():
    found = Followed().through(30, others=lambda now_s: 38_000 + 200 * now_s, tts=constant(1_000))[-1]
    assert (found.cause, found.service) == (Cause.GROWTH, "")


def test_growth_that_leaves_time_is_not_told_as_a_risk_but_timed():
    found = Followed().through(60, tts=lambda now_s: 10_000 + 100 * now_s)
    assert causes(found) == {Cause.NONE}
    assert found[-1].seconds_to_full == pytest.approx(321, abs=3)


def test_what_comes_and_goes_is_no_growth():
    found = Followed().through(300, tts=lambda now_s: 47_900 + 60 * (now_s % 7) / 7)
    assert causes(found) == {Cause.NONE}


def test_a_load_that_has_ended_is_no_risk_any_more():
    found = Followed().through(60, tts=lambda now_s: 30_000 + min(16_000, 400 * now_s) if now_s < 30 else 42_000)
    assert found[20].cause is Cause.GROWTH
    assert found[-1].seconds_to_full is None


def test_a_load_that_the_plan_has_room_for_is_no_risk():
    planned = {"tts": 20_000, "ollama": 20_000}
    found = Followed(planned).through(60, tts=lambda now_s: 500 * min(now_s, 39), ollama=constant(20_000))
    assert causes(found) == {Cause.NONE}


def test_a_service_that_grows_beyond_its_plan_is_a_risk():
    planned = {"tts": 20_000, "ollama": 20_000}
    found = Followed(planned).through(60, tts=lambda now_s: 19_000 + 130 * now_s, ollama=constant(20_000))
    assert (found[-1].cause, found[-1].service) == (Cause.GROWTH, "tts")


def test_less_free_than_the_plan_expects_to_be_taken_is_a_risk_of_whom_is_above_it():
    followed = Followed({"tts": 13_000, "ollama": 17_000})
    found = followed.through(20, tts=constant(25_000), ollama=constant(2_000), others=constant(10_000))
    assert [each.cause for each in found[:10]] == [Cause.NONE] * 10
    assert (found[-1].cause, found[-1].service, found[-1].outstanding_bytes) == (Cause.PLAN, "tts", 15_000 * MIB)


def test_a_parked_service_is_expected_to_wake():
    followed = Followed({"tts": 13_000})
    assert followed.through(20, tts=constant(0), others=constant(36_000))[-1].cause is Cause.PLAN


def test_others_that_take_what_was_planned_are_a_risk_of_nobody_known():
    found = Followed({"ollama": 17_000}).through(20, ollama=constant(0), others=constant(40_000))[-1]
    assert (found.cause, found.service) == (Cause.PLAN, "")


@pytest.mark.parametrize("devices", [1, 2])
def test_a_plan_is_for_one_card(devices: int):
    found = Followed({"ollama": 17_000}, devices).through(20, ollama=constant(0), others=constant(40_000))[-1]
    assert found.cause is (Cause.PLAN if devices == 1 else Cause.NONE)


def test_nothing_is_expected_of_a_service_that_nothing_is_known_of_now():
    found = Followed({"ollama": 17_000}).through(20, ollama=constant(0), others=constant(40_000), stale=True)
    assert causes(found) == {Cause.NONE}


def test_a_risk_ends_half_a_minute_after_its_cause_and_names_it_until_then():
    followed = Followed()
    followed.through(30, tts=lambda now_s: 30_000 + 400 * now_s)
    after = followed.through(60, tts=constant(20_000))
    assert [(each.cause, each.service) for each in after[:29]] == [(Cause.GROWTH, "tts")] * 29
    assert after[-1] == Exhaustion(0, free_bytes=28_000 * MIB)


def test_a_device_that_was_away_begins_anew():
    followed = Followed()
    followed.through(30, tts=lambda now_s: 30_000 + 400 * now_s)
    assert followed.policy.on_reading(followed.now_s, [], []) == {}
    assert causes(followed.through(2, tts=constant(47_000))) == {Cause.NONE}


def test_a_device_that_does_not_tell_its_memory_is_not_judged():
    policy = ExhaustionPolicy(within_s=120)
    assert policy.on_reading(0, [Device(0, "GPU", "GPU", 0, 0)], []) == {0: Exhaustion(0)}


def test_readings_that_come_fast_are_not_all_kept():
    policy = ExhaustionPolicy(within_s=120)
    for number in range(2000):
        policy.on_reading(number * 0.1, [Device(0, "GPU", "GPU", 100, 10)], [])
    assert len(policy._histories[0].samples) <= 61  # pyright: ignore[reportPrivateUsage]
