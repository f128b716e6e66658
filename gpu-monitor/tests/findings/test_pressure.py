"""Memory pressure against the device and the plan, and its hysteresis."""

from __future__ import annotations

import pytest
from gpu_monitor.engine import Device
from gpu_monitor.findings.pressure import (
    DRIVER_BYTES,
    GIB,
    MAX_MARGIN_BYTES,
    MIN_MARGIN_BYTES,
    Headroom,
    Pressure,
    PressureLevel,
    PressureTracker,
    margin_of,
    measure_headroom,
    next_level,
    pressure_changes,
)
from gpu_monitor.memory.self_report import EngineState, ReceivedReport, SelfReport
from gpu_monitor.memory.service_memory import ServiceMemory
from hypothesis import given
from hypothesis import strategies as st

NONE, ELEVATED, HIGH, CRITICAL, UNKNOWN = (
    PressureLevel.NONE,
    PressureLevel.ELEVATED,
    PressureLevel.HIGH,
    PressureLevel.CRITICAL,
    PressureLevel.UNKNOWN,
)
TOTAL_GIB = 48.0
# A plan for that device: it leaves 1.5 GiB free, besides the driver's.
PLAN_GIB = {"stt-service": 11.0, "tts-service": 13.0, "ollama": 22.0}


def device(used_gib: float, total_gib: float = TOTAL_GIB, index: int = 0) -> Device:
    return Device(index, f"GPU-{index}", "GPU", int(total_gib * GIB), int(used_gib * GIB))


def service(name: str, used_gib: float | None, *, parked: bool = False, planned_gib: float | None = None):
    planned_gib = PLAN_GIB.get(name) if planned_gib is None else planned_gib
    return ServiceMemory(
        name,
        driver_bytes=None if used_gib is None else int(used_gib * GIB),
        received=ReceivedReport(SelfReport(EngineState.PARKED if parked else EngineState.AWAKE, complete=False)),
        planned_bytes=None if planned_gib is None else int(planned_gib * GIB),
    )


def kept_plan() -> list[ServiceMemory]:
    return [service(name, planned_gib) for name, planned_gib in PLAN_GIB.items()]


def level_of(used_gib: float, services: list[ServiceMemory], limit_gib: float | None = None) -> PressureLevel:
    limit_bytes = None if limit_gib is None else int(limit_gib * GIB)
    return PressureTracker(limit_bytes).on_reading([device(used_gib)], services)[0].level


@pytest.mark.parametrize(
    ("level", "awake", "planned", "then"),
    [
        (NONE, 60, 60, NONE),
        (NONE, 59, 59, NONE),
        (NONE, 30, 30, NONE),
        (NONE, 29, 29, HIGH),
        (NONE, 9, 9, CRITICAL),
        (NONE, -5, -5, CRITICAL),
        (HIGH, 29, 29, HIGH),
        (HIGH, 39, 39, HIGH),
        (HIGH, 40, 40, NONE),
        (HIGH, 40, 39, ELEVATED),
        (HIGH, 40, -900, ELEVATED),
        (CRITICAL, 29, 29, CRITICAL),
        (CRITICAL, 30, 30, HIGH),
        (CRITICAL, 40, 40, NONE),
        (NONE, 60, 30, NONE),
        (NONE, 60, 29, ELEVATED),
        (ELEVATED, 60, 39, ELEVATED),
        (ELEVATED, 60, 40, NONE),
        (ELEVATED, 29, 20, HIGH),
        (ELEVATED, 39, 20, ELEVATED),
        (UNKNOWN, 35, 35, NONE),
        (UNKNOWN, 20, 20, HIGH),
    ],
)
def test_levels_rise_immediately_and_fall_with_hysteresis(
    level: PressureLevel, awake: int, planned: int, then: PressureLevel
):
    assert next_level(level, Headroom(awake, planned, margin_bytes=60)) is then


def test_memory_around_a_threshold_does_not_flap():
    tracker = PressureTracker(None)
    levels = [tracker.on_reading([device(48 - free)])[0].level for free in (2.5, 2.3, 2.5, 2.3, 3.0, 2.3, 3.3)]
    assert levels == [NONE, HIGH, HIGH, HIGH, HIGH, HIGH, NONE]


@given(
    level=st.sampled_from(PressureLevel),
    awake=st.integers(-100, 100),
    owed=st.integers(0, 100),
    margin=st.integers(1, 90),
)
def test_a_steady_headroom_has_a_steady_level(level: PressureLevel, awake: int, owed: int, margin: int):
    headroom = Headroom(awake, awake - owed, margin)
    settled = next_level(level, headroom)
    assert next_level(settled, headroom) is settled


@given(
    level=st.sampled_from(PressureLevel), awake=st.integers(-9, 99), owed=st.integers(0, 99), more=st.integers(0, 99)
)
def test_more_headroom_never_raises_the_level(level: PressureLevel, awake: int, owed: int, more: int):
    less = next_level(level, Headroom(awake, awake - owed, margin_bytes=60))
    assert next_level(level, Headroom(awake + more, awake + more - owed, margin_bytes=60)) <= less


# A kept plan --------------------------------------------------------------------------------------------------------


@given(
    shares=st.lists(st.floats(0, 1), min_size=3, max_size=3),
    parked=st.lists(st.booleans(), min_size=3, max_size=3),
    driver_gib=st.floats(0.3, 0.9),
    level=st.sampled_from(PressureLevel),
)
def test_a_kept_plan_is_no_pressure_whatever_part_of_it_is_in_use(
    shares: list[float], parked: list[bool], driver_gib: float, level: PressureLevel
):
    services = [
        service(name, planned_gib * share, parked=asleep)
        for (name, planned_gib), share, asleep in zip(PLAN_GIB.items(), shares, parked, strict=True)
    ]
    used_gib = driver_gib + sum((each.used_bytes or 0) / GIB for each in services)
    headroom = measure_headroom(device(used_gib), services, None, sole_device=True)
    # What the plan leaves free stays the same: only parked services are let off.
    assert headroom.planned_bytes == pytest.approx((2.0 - driver_gib) * GIB, abs=16)
    assert headroom.awake_bytes >= headroom.planned_bytes
    assert next_level(level, headroom) is NONE


@given(beyond_gib=st.floats(0, 30), shares=st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_memory_beyond_a_partly_used_plan_counts_in_full(beyond_gib: float, shares: list[float]):
    services = [
        service(name, planned_gib * share) for (name, planned_gib), share in zip(PLAN_GIB.items(), shares, strict=True)
    ]
    used_gib = 0.5 + beyond_gib + sum((each.used_bytes or 0) / GIB for each in services)
    headroom = measure_headroom(device(used_gib), services, None, sole_device=True)
    assert headroom.awake_bytes == pytest.approx((1.5 - beyond_gib) * GIB, abs=16)


@pytest.mark.parametrize(("beyond_gib", "level"), [(0.7, NONE), (0.8, HIGH), (1.3, CRITICAL), (3.0, CRITICAL)])
def test_another_process_and_a_service_above_its_plan_count_the_same(beyond_gib: float, level: PressureLevel):
    used_gib = 0.5 + sum(PLAN_GIB.values()) + beyond_gib
    assert level_of(used_gib, kept_plan()) is level
    leaking = [*kept_plan()[:2], service("ollama", PLAN_GIB["ollama"] + beyond_gib)]
    assert level_of(used_gib, leaking) is level
    unplanned = service("another-tts", beyond_gib)
    assert level_of(used_gib, [*kept_plan(), unplanned]) is level


def test_memory_that_parked_services_would_miss_is_elevated():
    services = [*kept_plan()[:2], service("ollama", 0, parked=True)]
    used_gib = 0.5 + 24.0
    assert level_of(used_gib, services) is NONE
    assert level_of(used_gib + 3, services) is ELEVATED
    assert level_of(used_gib + 22.8, services) is HIGH


def test_the_same_memory_is_missed_at_once_by_awake_services():
    services = [*kept_plan()[:2], service("ollama", 0)]
    assert level_of(0.5 + 24.0 + 3, services) is CRITICAL


def test_services_without_a_figure_are_taken_to_hold_their_plan():
    """Their memory is part of the device's; it must not count twice."""
    unknown = [service(name, None) for name in PLAN_GIB]
    assert level_of(0.5 + sum(PLAN_GIB.values()), unknown) is NONE
    assert level_of(0.5 + sum(PLAN_GIB.values()) + 1, unknown) is HIGH


@pytest.mark.parametrize("total_gib", [24.0, 40.0])
def test_a_plan_for_a_larger_device_does_not_apply(total_gib: float):
    tracker = PressureTracker(None)
    services = [service(name, 0.1) for name in PLAN_GIB]
    headroom = tracker.on_reading([device(1, total_gib)], services)[0].headroom
    assert headroom == Headroom(int((total_gib - 1) * GIB), int((total_gib - 1) * GIB), int(0.1 * total_gib * GIB))
    assert tracker.on_reading([device(total_gib - 0.2, total_gib)], services)[0].level is CRITICAL


def test_with_several_devices_each_counts_alone():
    """It is unknown which device a plan or a service is on."""
    services = [service("ollama", 0)]
    pressures = PressureTracker(None).on_reading([device(40, index=0), device(46, index=1)], services)
    assert [pressure.level for pressure in pressures.values()] == [NONE, HIGH]


# Without a plan -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("used_gib", "level"), [(0, NONE), (45.5, NONE), (45.7, HIGH), (47.3, CRITICAL)])
def test_without_a_plan_a_share_of_the_device_is_to_stay_free(used_gib: float, level: PressureLevel):
    assert level_of(used_gib, []) is level


@pytest.mark.parametrize(("held_gib", "level"), [(45.9, NONE), (46.6, NONE), (46.8, HIGH), (47.3, CRITICAL)])
def test_a_limit_without_a_plan_is_a_plan_for_all_services_together(held_gib: float, level: PressureLevel):
    services = [service("tts-service", held_gib, planned_gib=0)]
    assert level_of(held_gib + 0.5, services, limit_gib=46) is level


@pytest.mark.parametrize(("held_gib", "level"), [(20.0, NONE), (20.7, NONE), (20.8, HIGH), (21.3, CRITICAL)])
def test_services_may_not_take_more_than_their_limit_of_a_shared_device(held_gib: float, level: PressureLevel):
    services = [service("tts-service", held_gib, planned_gib=0)]
    # Another process may take what is not theirs.
    assert level_of(held_gib + 20, services, limit_gib=20) is level


@pytest.mark.parametrize(
    ("assigned_gib", "margin_bytes"),
    [
        (None, int(0.1 * 48 * GIB)),
        (0, int(0.1 * 48 * GIB)),
        (20, MAX_MARGIN_BYTES),
        (46.5, GIB),
        (47.5, MIN_MARGIN_BYTES),
        (48, MIN_MARGIN_BYTES),
        # A limit of a larger device.
        (60, int(0.1 * 48 * GIB)),
    ],
)
def test_margin_is_what_is_not_assigned(assigned_gib: float | None, margin_bytes: int):
    assert margin_of(48 * GIB, None if assigned_gib is None else int(assigned_gib * GIB)) == margin_bytes


@given(total=st.integers(1, 200 * GIB), assigned=st.one_of(st.none(), st.integers(0, 300 * GIB)))
def test_margin_is_positive_and_fits_the_device(total: int, assigned: int | None):
    assert 0 <= margin_of(total, assigned) <= max(total - DRIVER_BYTES, 0.1 * total)


def test_device_without_total_memory_has_unknown_pressure():
    """A part of a device (MIG) and boards that share the machine's memory report none."""
    assert PressureTracker(None).on_reading([device(0, total_gib=0)]) == {0: Pressure(0, UNKNOWN)}
    assert PressureTracker(20 * GIB).on_reading([device(0, total_gib=0)], kept_plan()) == {0: Pressure(0, UNKNOWN)}


def test_devices_are_tracked_separately_and_dropped_when_gone():
    tracker = PressureTracker(None)
    tracker.on_reading([device(46, index=0), device(10, index=1)])
    tracker.on_reading([device(10, index=1)])
    returned = tracker.on_reading([device(45, index=0), device(10, index=1)])
    assert [pressure.level for pressure in returned.values()] == [NONE, NONE]


def test_only_changed_levels_are_returned():
    now = {0: Pressure(0, HIGH), 1: Pressure(1, NONE)}
    assert pressure_changes({}, now) == [now[0]]
    assert pressure_changes({0: HIGH}, now) == []


def test_vanished_device_under_pressure_is_returned_once():
    assert pressure_changes({0: HIGH}, {}) == [Pressure(0, UNKNOWN)]
    assert pressure_changes({0: UNKNOWN}, {}) == []
    assert pressure_changes({0: UNKNOWN}, {0: Pressure(0, NONE)}) == [Pressure(0, NONE)]
