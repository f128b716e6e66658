"""Predicts whether a device is about to run out of memory, and names the responsible service. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from gpu_monitor.engine import Device
from gpu_monitor.findings.time_series import SustainedCondition, linear_fit
from gpu_monitor.memory.service_memory import ServiceMemory, unattributed_bytes

WINDOW_S = 60.0
# Growth that stopped this long ago no longer counts, however steep it was.
RECENT_S = 15.0
MIN_SAMPLES = 5
# Readings closer together than this are skipped: a window holds at most 61.
MIN_SPACING_S = 1.0
# Smaller changes come and go with every reply.
MIN_GROWTH_BYTES = 64 * 1024**2
GROWTH_BEGIN_S = 3.0
# Services start one after another and free their loading buffers, so a deviation from the plan must last longer.
PLAN_BEGIN_S = 10.0
END_S = 30.0
# Service name for memory that belongs to no known service.
UNATTRIBUTED = ""


class ExhaustionCause(IntEnum):
    """Why memory is about to run out; numbers of `anchor.gpu.v1`."""

    NONE = 0
    GROWTH = 1
    PLAN = 2


@dataclass(frozen=True, slots=True)
class Exhaustion:
    """How close a device is to running out of memory."""

    device_index: int
    cause: ExhaustionCause = ExhaustionCause.NONE
    # The service that grew most or is furthest above its plan; empty when unknown or without a cause.
    service: str = UNATTRIBUTED
    free_bytes: int = 0
    # None while use does not grow.
    seconds_to_full: float | None = None
    # Planned memory that is not in use yet.
    outstanding_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Sample:
    at_s: float
    used_bytes: int
    # Includes UNATTRIBUTED.
    bytes_by_service: Mapping[str, int]


@dataclass(slots=True)
class _History:
    """Samples and conditions of one device over the last minute."""

    samples: deque[_Sample] = field(default_factory=deque[_Sample])
    growth: SustainedCondition = field(default_factory=lambda: SustainedCondition(GROWTH_BEGIN_S, END_S))
    plan: SustainedCondition = field(default_factory=lambda: SustainedCondition(PLAN_BEGIN_S, END_S))
    # The service named when the condition last held.
    growing_service: str = UNATTRIBUTED
    over_plan_service: str = UNATTRIBUTED

    def add(self, sample: _Sample) -> None:
        if not self.samples or sample.at_s - self.samples[-1].at_s >= MIN_SPACING_S:
            self.samples.append(sample)
        while sample.at_s - self.samples[0].at_s > WINDOW_S:
            self.samples.popleft()


class ExhaustionDetector:
    """Reports devices that will be full within `within_s` at the current growth, or short of planned memory."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._histories: dict[int, _History] = {}

    def on_reading(
        self, now_s: float, devices: Sequence[Device], services: Sequence[ServiceMemory]
    ) -> dict[int, Exhaustion]:
        """The state of each device, by index. Devices that are missing from `devices` are forgotten."""
        # A plan covers one card only.
        outstanding = total_outstanding_bytes(services) if len(devices) == 1 else 0
        holders = {service.service: service.used_bytes for service in services if service.used_bytes is not None}
        holders[UNATTRIBUTED] = unattributed_bytes(devices, services)
        self._histories = {device.index: self._histories.get(device.index, _History()) for device in devices}
        found: dict[int, Exhaustion] = {}
        for device in devices:
            history = self._histories[device.index]
            history.add(_Sample(now_s, device.memory_used_bytes, holders))
            found[device.index] = self._assess(now_s, device, history, services, outstanding)
        return found

    def _assess(
        self,
        now_s: float,
        device: Device,
        history: _History,
        services: Sequence[ServiceMemory],
        outstanding: int,
    ) -> Exhaustion:
        if not device.memory_total_bytes:
            return Exhaustion(device.index)
        free_bytes = max(0, device.memory_total_bytes - device.memory_used_bytes)
        rate = bytes_per_second(history.samples)
        seconds_to_full = free_bytes / rate if rate else None
        grower = largest_grower(history.samples)
        grows = (
            seconds_to_full is not None
            and seconds_to_full < self._within_s
            and not _is_planned_growth(grower, services, outstanding, free_bytes)
        )
        is_short = outstanding > free_bytes
        history.growing_service = grower if grows else history.growing_service
        history.over_plan_service = furthest_over_plan(services) if is_short else history.over_plan_service
        growing, short = history.growth.update(now_s, grows), history.plan.update(now_s, is_short)
        cause, service = ExhaustionCause.NONE, UNATTRIBUTED
        if growing:
            cause, service = ExhaustionCause.GROWTH, history.growing_service
        elif short:
            cause, service = ExhaustionCause.PLAN, history.over_plan_service
        return Exhaustion(device.index, cause, service, free_bytes, seconds_to_full, outstanding)


def bytes_per_second(samples: Iterable[_Sample]) -> float:
    """Growth rate of use: the slower of the whole window's and its last 15 s; 0 without growth."""
    points = [(sample.at_s, float(sample.used_bytes)) for sample in samples]
    if len(points) < MIN_SAMPLES or points[-1][1] - points[0][1] < MIN_GROWTH_BYTES:
        return 0.0
    recent = [point for point in points if point[0] > points[-1][0] - RECENT_S]
    # A fit needs three points, however far apart the readings are.
    slope = min(linear_fit(points).slope, linear_fit(recent if len(recent) >= 3 else points[-3:]).slope)
    return max(0.0, slope)


def largest_grower(samples: Sequence[_Sample]) -> str:
    """The service that grew most over `samples`; UNATTRIBUTED when unattributed memory grew more."""
    first, last = samples[0].bytes_by_service, samples[-1].bytes_by_service
    growth = {name: used_bytes - first.get(name, 0) for name, used_bytes in last.items()}
    return max(growth, key=lambda name: growth[name])


def furthest_over_plan(services: Iterable[ServiceMemory]) -> str:
    """The service furthest above its plan; UNATTRIBUTED when none is above."""
    excess = {service.service: (service.used_bytes or 0) - (service.planned_bytes or 0) for service in services}
    worst = max(excess, key=lambda name: excess[name], default=UNATTRIBUTED)
    return worst if excess.get(worst, 0) > 0 else UNATTRIBUTED


def total_outstanding_bytes(services: Iterable[ServiceMemory]) -> int:
    """Planned memory not allocated yet. Parked engines count: they may wake."""
    return sum(service.outstanding_bytes for service in services)


def _is_planned_growth(grower: str, services: Iterable[ServiceMemory], outstanding: int, free_bytes: int) -> bool:
    """Whether the growing service is still within its plan and all planned memory fits."""
    return outstanding <= free_bytes and any(
        service.service == grower
        and service.planned_bytes is not None
        and (service.used_bytes or 0) <= service.planned_bytes
        for service in services
    )
