"""Pressure levels and their hysteresis."""

from __future__ import annotations

import pytest
from gpu_monitor.engine import Device
from gpu_monitor.findings.pressure import (
    Pressure,
    PressureLevel,
    PressureTracker,
    next_level,
    pressure_changes,
    used_share,
)

NONE, HIGH, CRITICAL, UNKNOWN = PressureLevel.NONE, PressureLevel.HIGH, PressureLevel.CRITICAL, PressureLevel.UNKNOWN


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
def test_levels_rise_immediately_and_fall_with_hysteresis(level: PressureLevel, share: float, then: PressureLevel):
    assert next_level(level, share) is then


def test_use_around_a_threshold_does_not_flap():
    policy = PressureTracker(None)
    levels = [policy.on_reading([device(used)])[0].level for used in (89, 91, 89, 91, 88, 91, 84)]
    assert levels == [NONE, HIGH, HIGH, HIGH, HIGH, HIGH, NONE]


@pytest.mark.parametrize(
    ("used", "budget", "share"),
    [(50, None, 0.5), (50, 60, 50 / 60), (70, 60, 1.0), (50, 200, 0.5)],
)
def test_used_share_is_of_memory_or_budget_whichever_is_fuller(used: int, budget: int | None, share: float):
    assert used_share(device(used), budget) == pytest.approx(share)


def test_device_without_total_memory_has_unknown_pressure():
    assert PressureTracker(None).on_reading([device(0, total=0)]) == {0: Pressure(0, UNKNOWN, 0.0)}


def test_devices_are_tracked_separately_and_dropped_when_gone():
    policy = PressureTracker(None)
    policy.on_reading([device(95, index=0), device(10, index=1)])
    policy.on_reading([device(10, index=1)])
    returned = policy.on_reading([device(87, index=0), device(10, index=1)])
    assert [pressure.level for pressure in returned.values()] == [NONE, NONE]


def test_only_changed_levels_are_returned():
    now = {0: Pressure(0, HIGH, 0.92), 1: Pressure(1, NONE, 0.1)}
    assert pressure_changes({}, now) == [now[0]]
    assert pressure_changes({0: HIGH}, now) == []


def test_vanished_device_under_pressure_is_returned_once():
    assert pressure_changes({0: HIGH}, {}) == [Pressure(0, UNKNOWN, 0.0)]
    assert pressure_changes({0: UNKNOWN}, {}) == []
    assert pressure_changes({0: UNKNOWN}, {0: Pressure(0, NONE, 0.1)}) == [Pressure(0, NONE, 0.1)]
