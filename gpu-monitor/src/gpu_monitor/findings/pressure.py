"""When a device counts as short of memory: pure policy, with hysteresis so that it does not flutter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from gpu_monitor.engine import Device

# Shares of the memory (or of the budget) in use.
CRITICAL_ABOVE = 0.97
HIGH_ABOVE = 0.90
RELIEVED_BELOW = 0.85


class Level(IntEnum):
    """How short of memory a device is."""

    UNKNOWN = 0
    NONE = 1
    HIGH = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True)
class Pressure:
    """The level of one device and the share (0 to 1) it comes from."""

    device_index: int
    level: Level
    used_share: float


def used_share(device: Device, budget_bytes: int | None) -> float:
    """Share in use, 0 to 1, of the budget or of the whole memory, whichever is fuller."""
    limit_bytes = min(device.memory_total_bytes, budget_bytes or device.memory_total_bytes)
    return min(device.memory_used_bytes / limit_bytes, 1.0) if limit_bytes else 0.0


def next_level(level: Level, share: float) -> Level:
    """The level that follows `level` when `share` is in use.

    Critical eases to high once usage is out of the high range, and either ends below the relief mark.
    """
    if share > CRITICAL_ABOVE:
        return Level.CRITICAL
    if share > HIGH_ABOVE:
        return max(level, Level.HIGH)
    if share < RELIEVED_BELOW:
        return Level.NONE
    return Level.HIGH if level > Level.NONE else Level.NONE


class PressurePolicy:
    """Follows the level of every device from one reading to the next."""

    def __init__(self, budget_bytes: int | None) -> None:
        self._budget_bytes = budget_bytes
        self._levels: dict[int, Level] = {}

    def on_reading(self, devices: Iterable[Device]) -> dict[int, Pressure]:
        """The pressure on each device, by index; a device that is not among them is forgotten."""
        pressures: dict[int, Pressure] = {}
        for device in devices:
            share = used_share(device, self._budget_bytes)
            level = Level.UNKNOWN
            if device.memory_total_bytes:
                level = next_level(self._levels.get(device.index, Level.NONE), share)
            pressures[device.index] = Pressure(device.index, level, share)
        self._levels = {index: pressure.level for index, pressure in pressures.items()}
        return pressures


def changes(told: Mapping[int, Level], now: Mapping[int, Pressure]) -> list[Pressure]:
    """What someone must hear who was told `told`; a device never spoken of was not short of memory."""
    vanished = [
        Pressure(index, Level.UNKNOWN, 0.0)
        for index, level in told.items()
        if index not in now and level is not Level.UNKNOWN
    ]
    return [pressure for index, pressure in now.items() if pressure.level is not told.get(index, Level.NONE)] + vanished
