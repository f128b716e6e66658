"""When a device counts as short of memory."""

from __future__ import annotations

import pytest
from gpu_monitor.engine import Device
from gpu_monitor.findings.pressure import Level, Pressure, PressurePolicy, changes, next_level, used_share

NONE, HIGH, CRITICAL, UNKNOWN = Level.NONE, Level.HIGH, Level.CRITICAL, Level.UNKNOWN


def device(used: int, total: int = 100, index: int = 0) -> Device:
    return Device(index, f"GPU-{index}", "GPU", memory_total_bytes=total, memory_used_bytes=used)


@pytest.mark.parametrize(
    ("level", "share", "then"),
    [
        (NONE, 0.90, NONE),
        (NONE, 0.91, HIGH),
        (NONE, 0.98, CRITICAL),
        (HIGH, 0.97, HIGH),
        (HIGH, 0.98, CRITICAL),
        (HIGH, 0.85, HIGH),
        (HIGH, 0.84, NONE),
        (CRITICAL, 0.95, CRITICAL),
        (CRITICAL, 0.90, HIGH),
        (CRITICAL, 0.84, NONE),
        (UNKNOWN, 0.87, NONE),
        (UNKNOWN, 0.95, HIGH),
    ],
)
def test_levels_rise_at_once_and_fall_late(level: Level, share: float, then: Level):
    assert next_level(level, share) is then


def test_usage_that_wavers_about_a_threshold_is_told_once():
    policy = PressurePolicy(None)
    levels = [policy.on_reading([device(used)])[0].level for used in (89, 91, 89, 91, 88, 91, 84)]
    assert levels == [NONE, HIGH, HIGH, HIGH, HIGH, HIGH, NONE]


@pytest.mark.parametrize(
    ("used", "budget", "share"),
    [(50, None, 0.5), (50, 60, 50 / 60), (70, 60, 1.0), (50, 200, 0.5)],
)
def test_the_fuller_of_memory_and_budget_counts(used: int, budget: int | None, share: float):
    assert used_share(device(used), budget) == pytest.approx(share)


def test_a_device_without_memory_of_its_own_has_no_known_pressure():
    assert PressurePolicy(None).on_reading([device(0, total=0)]) == {0: Pressure(0, UNKNOWN, 0.0)}


def test_devices_are_followed_apart_and_forgotten_when_gone():
    policy = PressurePolicy(None)
    policy.on_reading([device(95, index=0), device(10, index=1)])
    policy.on_reading([device(10, index=1)])
    returned = policy.on_reading([device(87, index=0), device(10, index=1)])
    assert [pressure.level for pressure in returned.values()] == [NONE, NONE]


def test_only_what_differs_is_told():
    now = {0: Pressure(0, HIGH, 0.92), 1: Pressure(1, NONE, 0.1)}
    assert changes({}, now) == [now[0]]
    assert changes({0: HIGH}, now) == []


def test_a_device_that_vanished_under_pressure_is_told_once():
    assert changes({0: HIGH}, {}) == [Pressure(0, UNKNOWN, 0.0)]
    assert changes({0: UNKNOWN}, {}) == []
    assert changes({0: UNKNOWN}, {0: Pressure(0, NONE, 0.1)}) == [Pressure(0, NONE, 0.1)]
