"""Classifies how short of memory a device is, measured against the device and the memory plan. Pure.

    free      = total - used, of the device, as the driver reports them
    awake     = free - what awake services have not allocated yet of their plan
    planned   = awake - what parked services have not allocated yet of theirs
    margin    = what the plan leaves free: total - 0.5 GiB for the driver - sum of the plan, at most 1.5 GiB

    level       begins                          ends
    CRITICAL    awake   < 1/6 margin            awake   >= 1/2 margin
    HIGH        awake   < 1/2 margin            awake   >= 2/3 margin
    ELEVATED    planned < 1/2 margin            planned >= 2/3 margin
    NONE        otherwise

As long as every service keeps to its plan, `awake` is the memory that the plan leaves free, however much of the plan is
in use. Only memory beyond the plan reduces it: a service above its plan, another process, a driver that holds more.
HIGH and CRITICAL therefore mean that the device runs out of memory, and ELEVATED that it would, if the parked services
woke.

Without a plan, and with a plan that does not apply (several devices, or a device that is too small for it), services
owe nothing, and the margin is what the limit leaves free; without a limit, too, it is 10 % of the device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from gpu_monitor.engine import Device
from gpu_monitor.memory.self_report import EngineState
from gpu_monitor.memory.service_memory import ServiceMemory

GIB = 1024**3
# Memory of the driver itself, as `anchor plan` assumes it.
DRIVER_BYTES = GIB // 2
# The reserve of `anchor plan`. A plan that leaves more free does not raise the thresholds.
MAX_MARGIN_BYTES = 3 * GIB // 2
# For plans that leave next to nothing free: one allocation of a server may take this much.
MIN_MARGIN_BYTES = 3 * GIB // 8
# Share of the device, without a plan and a limit, and at most for `MIN_MARGIN_BYTES`.
DEVICE_SHARE = 0.10
# Thresholds, as shares of the margin.
CRITICAL_BELOW = 1 / 6
HIGH_BELOW = 1 / 2
END_AT = 2 / 3


class PressureLevel(IntEnum):
    """How short of memory a device is; numbers of `anchor.gpu.v1`."""

    UNKNOWN = 0
    NONE = 1
    # Enough is free now, but not for everything that is planned: parked services would not find their memory.
    ELEVATED = 2
    HIGH = 3
    CRITICAL = 4


@dataclass(frozen=True, slots=True)
class Headroom:
    """Memory of a device that nothing holds and no plan assigns; negative where more is assigned than free."""

    # When all awake services take what the plan assigns to them.
    awake_bytes: int
    # When parked services wake, too.
    planned_bytes: int
    # What is to stay free; thresholds are shares of it.
    margin_bytes: int


@dataclass(frozen=True, slots=True)
class Pressure:
    """Pressure level of one device, and the headroom behind it; None where the driver reports no memory."""

    device_index: int
    level: PressureLevel
    headroom: Headroom | None = None


def next_level(level: PressureLevel, headroom: Headroom) -> PressureLevel:
    """The level that follows `level`; levels rise at once and fall with hysteresis."""
    high_bytes, end_bytes = HIGH_BELOW * headroom.margin_bytes, END_AT * headroom.margin_bytes
    if headroom.awake_bytes < CRITICAL_BELOW * headroom.margin_bytes:
        return PressureLevel.CRITICAL
    if headroom.awake_bytes < high_bytes:
        return max(level, PressureLevel.HIGH)
    if headroom.awake_bytes < end_bytes and level >= PressureLevel.HIGH:
        return PressureLevel.HIGH
    tight_below_bytes = high_bytes if level <= PressureLevel.NONE else end_bytes
    return PressureLevel.ELEVATED if headroom.planned_bytes < tight_below_bytes else PressureLevel.NONE


def measure_headroom(
    device: Device, services: Sequence[ServiceMemory], limit_bytes: int | None, *, sole_device: bool
) -> Headroom:
    """The headroom of `device`.

    `services` hold their memory on `device` when it is the `sole_device`; else it is unknown where, and they are
    ignored. `limit_bytes` is the memory of a device that the services may hold together.
    """
    plan_bytes = sum(service.planned_bytes or 0 for service in services) if sole_device else 0
    if plan_bytes + DRIVER_BYTES > device.memory_total_bytes:
        # The plan is for another device.
        plan_bytes = 0
    margin_bytes = margin_of(device.memory_total_bytes, plan_bytes or limit_bytes)
    free_bytes = device.memory_total_bytes - device.memory_used_bytes
    if sole_device and limit_bytes is not None:
        # At the limit, the margin is still free, as it is where a plan is kept.
        held_bytes = sum(service.used_bytes or 0 for service in services)
        free_bytes = min(free_bytes, limit_bytes - held_bytes + margin_bytes)
    if not plan_bytes:
        return Headroom(free_bytes, free_bytes, margin_bytes)
    parked_bytes = sum(service.outstanding_bytes for service in services if service.state is EngineState.PARKED)
    outstanding_bytes = sum(service.outstanding_bytes for service in services)
    return Headroom(free_bytes - outstanding_bytes + parked_bytes, free_bytes - outstanding_bytes, margin_bytes)


def margin_of(total_bytes: int, assigned_bytes: int | None) -> int:
    """Bytes of a device that are to stay free, when `assigned_bytes` of it are assigned to services."""
    share_bytes = int(DEVICE_SHARE * total_bytes)
    if not assigned_bytes or assigned_bytes > total_bytes:
        return share_bytes
    left_bytes = total_bytes - DRIVER_BYTES - assigned_bytes
    return max(min(left_bytes, MAX_MARGIN_BYTES), min(MIN_MARGIN_BYTES, share_bytes))


class PressureTracker:
    """Tracks the pressure level of every device."""

    def __init__(self, limit_bytes: int | None) -> None:
        """`limit_bytes` is the memory of each device that the services may hold; None for all of it."""
        self._limit_bytes = limit_bytes
        self._levels: dict[int, PressureLevel] = {}

    def on_reading(self, devices: Sequence[Device], services: Sequence[ServiceMemory] = ()) -> dict[int, Pressure]:
        """The pressure of each device, by index. Devices that are missing from `devices` are forgotten."""
        pressures = {device.index: self._pressure(device, services, len(devices) == 1) for device in devices}
        self._levels = {index: pressure.level for index, pressure in pressures.items()}
        return pressures

    def _pressure(self, device: Device, services: Sequence[ServiceMemory], sole_device: bool) -> Pressure:
        if not device.memory_total_bytes:
            return Pressure(device.index, PressureLevel.UNKNOWN)
        headroom = measure_headroom(device, services, self._limit_bytes, sole_device=sole_device)
        before = self._levels.get(device.index, PressureLevel.UNKNOWN)
        return Pressure(device.index, next_level(before, headroom), headroom)


def pressure_changes(sent: Mapping[int, PressureLevel], current: Mapping[int, Pressure]) -> list[Pressure]:
    """Pressures that differ from the levels already `sent`; a device without a sent level counts as NONE."""
    vanished = [
        Pressure(index, PressureLevel.UNKNOWN)
        for index, level in sent.items()
        if index not in current and level is not PressureLevel.UNKNOWN
    ]
    return [
        pressure for index, pressure in current.items() if pressure.level is not sent.get(index, PressureLevel.NONE)
    ] + vanished
