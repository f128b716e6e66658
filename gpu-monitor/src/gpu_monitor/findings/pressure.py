"""Classifies how short of memory a device is, with hysteresis against flapping. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from gpu_monitor.engine import Device

# Thresholds, as shares of the memory (or of the budget) in use.
CRITICAL_ABOVE = 0.97
HIGH_ABOVE = 0.90
END_BELOW = 0.85


class PressureLevel(IntEnum):
    """How short of memory a device is; numbers of `anchor.gpu.v1`."""

    UNKNOWN = 0
    NONE = 1
    HIGH = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True)
class Pressure:
    """Pressure level of one device, and the used share (0 to 1) behind it."""

    device_index: int
    level: PressureLevel
    used_share: float


def used_share(device: Device, budget_bytes: int | None) -> float:
    """Share in use, 0 to 1, of the budget or of the total memory, whichever is fuller."""
    limit_bytes = min(device.memory_total_bytes, budget_bytes or device.memory_total_bytes)
    return min(device.memory_used_bytes / limit_bytes, 1.0) if limit_bytes else 0.0


def next_level(level: PressureLevel, share: float) -> PressureLevel:
    """The level that follows `level` at a used `share`.

    Critical drops to high at `HIGH_ABOVE`; both end below `END_BELOW`.
    """
    if share > CRITICAL_ABOVE:
        return PressureLevel.CRITICAL
    if share > HIGH_ABOVE:
        return max(level, PressureLevel.HIGH)
    if share < END_BELOW:
        return PressureLevel.NONE
    return PressureLevel.HIGH if level > PressureLevel.NONE else PressureLevel.NONE


class PressureTracker:
    """Tracks the pressure level of every device."""

    def __init__(self, budget_bytes: int | None) -> None:
        self._budget_bytes = budget_bytes
        self._levels: dict[int, PressureLevel] = {}

    def on_reading(self, devices: Iterable[Device]) -> dict[int, Pressure]:
        """The pressure of each device, by index. Devices that are missing from `devices` are forgotten."""
        pressures: dict[int, Pressure] = {}
        for device in devices:
            share = used_share(device, self._budget_bytes)
            level = PressureLevel.UNKNOWN
            if device.memory_total_bytes:
                level = next_level(self._levels.get(device.index, PressureLevel.NONE), share)
            pressures[device.index] = Pressure(device.index, level, share)
        self._levels = {index: pressure.level for index, pressure in pressures.items()}
        return pressures


def pressure_changes(sent: Mapping[int, PressureLevel], current: Mapping[int, Pressure]) -> list[Pressure]:
    """Pressures that differ from the levels already `sent`; a device without a sent level counts as NONE."""
    vanished = [
        Pressure(index, PressureLevel.UNKNOWN, 0.0)
        for index, level in sent.items()
        if index not in current and level is not PressureLevel.UNKNOWN
    ]
    return [
        pressure for index, pressure in current.items() if pressure.level is not sent.get(index, PressureLevel.NONE)
    ] + vanished
