"""Whether a device is about to run out of memory, and who makes it so: pure policy."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from gpu_monitor.engine import Device
from gpu_monitor.findings.time_series import Sustained, straight_line
from gpu_monitor.memory.service_memory import ServiceMemory, unattributed_bytes

WINDOW_S = 60.0
# What has stopped growing this long ago grows no more, however steep it was before.
RECENT_S = 15.0
LEAST_SAMPLES = 5
# Readings closer to each other than this are left out: a window holds at most 61.
SPACING_S = 1.0
# What comes and goes with every reply is no growth.
LEAST_GROWTH_BYTES = 64 * 1024**2
GROWTH_BEGINS_S = 3.0
# A plan is not met at once: services start one after the other, and free what they loaded with.
PLAN_BEGINS_S = 10.0
ENDS_S = 30.0
# Memory of nobody known.
NOBODY = ""


class Cause(IntEnum):
    """Why memory is about to run out."""

    NONE = 0
    GROWTH = 1
    PLAN = 2


@dataclass(frozen=True, slots=True)
class Exhaustion:
    """How near the end of its memory a device is."""

    device_index: int
    cause: Cause = Cause.NONE
    # Who grew most or is most above its plan; empty when that is nobody known, and without a cause.
    service: str = NOBODY
    free_bytes: int = 0
    # None while it does not grow.
    seconds_to_full: float | None = None
    # What the plan still expects to be taken.
    outstanding_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Sample:
    at_s: float
    used_bytes: int
    # By service, and of nobody.
    holders: Mapping[str, int]


@dataclass(slots=True)
class _History:
    """One device over the last minute."""

    samples: deque[_Sample] = field(default_factory=deque[_Sample])
    growth: Sustained = field(default_factory=lambda: Sustained(GROWTH_BEGINS_S, ENDS_S))
    plan: Sustained = field(default_factory=lambda: Sustained(PLAN_BEGINS_S, ENDS_S))
    # Who was blamed while there was something to blame somebody for.
    grower: str = NOBODY
    exceeder: str = NOBODY

    def add(self, sample: _Sample) -> None:
        if not self.samples or sample.at_s - self.samples[-1].at_s >= SPACING_S:
            self.samples.append(sample)
        while sample.at_s - self.samples[0].at_s > WINDOW_S:
            self.samples.popleft()


class ExhaustionPolicy:
    """Follows every device from one reading to the next; it is about to be full when it would be `within_s`."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._histories: dict[int, _History] = {}

    def on_reading(
        self, now_s: float, devices: Sequence[Device], services: Sequence[ServiceMemory]
    ) -> dict[int, Exhaustion]:
        """How it stands with each device, by index; a device that is not among them is forgotten."""
        # A plan is for one card.
        outstanding = outstanding_bytes(services) if len(devices) == 1 else 0
        holders = {service.service: service.used_bytes for service in services if service.used_bytes is not None}
        holders[NOBODY] = unattributed_bytes(devices, services)
        self._histories = {device.index: self._histories.get(device.index, _History()) for device in devices}
        found: dict[int, Exhaustion] = {}
        for device in devices:
            history = self._histories[device.index]
            history.add(_Sample(now_s, device.memory_used_bytes, holders))
            found[device.index] = self._judge(now_s, device, history, services, outstanding)
        return found

    def _judge(
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
        grower = most_grown(history.samples)
        grows = (
            seconds_to_full is not None
            and seconds_to_full < self._within_s
            and not _foreseen(grower, services, outstanding, free_bytes)
        )
        lacks = outstanding > free_bytes
        history.grower = grower if grows else history.grower
        history.exceeder = most_over(services) if lacks else history.exceeder
        growing, short = history.growth.on_reading(now_s, grows), history.plan.on_reading(now_s, lacks)
        cause = Cause.GROWTH if growing else Cause.PLAN if short else Cause.NONE
        blamed = {Cause.GROWTH: history.grower, Cause.PLAN: history.exceeder}.get(cause, NOBODY)
        return Exhaustion(device.index, cause, blamed, free_bytes, seconds_to_full, outstanding)


def bytes_per_second(samples: Iterable[_Sample]) -> float:
    """How fast use grows: by the last minute, or by its end where that is slower; 0 when it does not."""
    points = [(sample.at_s, float(sample.used_bytes)) for sample in samples]
    if len(points) < LEAST_SAMPLES or points[-1][1] - points[0][1] < LEAST_GROWTH_BYTES:
        return 0.0
    recent = [point for point in points if point[0] > points[-1][0] - RECENT_S]
    # A line wants three points, however far apart the readings are.
    slope = min(straight_line(points).slope, straight_line(recent if len(recent) >= 3 else points[-3:]).slope)
    return max(0.0, slope)


def most_grown(samples: Sequence[_Sample]) -> str:
    """The service that grew most over `samples`; nobody where what is nobody's grew more."""
    first, last = samples[0].holders, samples[-1].holders
    growth = {name: used_bytes - first.get(name, 0) for name, used_bytes in last.items()}
    return max(growth, key=lambda name: growth[name])


def most_over(services: Iterable[ServiceMemory]) -> str:
    """The service that is most above its plan; nobody where none is."""
    excess = {service.service: (service.used_bytes or 0) - (service.planned_bytes or 0) for service in services}
    worst = max(excess, key=lambda name: excess[name], default=NOBODY)
    return worst if excess.get(worst, 0) > 0 else NOBODY


def outstanding_bytes(services: Iterable[ServiceMemory]) -> int:
    """What the plan still expects to be taken, by services whose use is known now; a parked one may wake."""
    return sum(
        max(0, service.planned_bytes - (service.used_bytes or 0))
        for service in services
        if service.planned_bytes is not None and service.known_now
    )


def _foreseen(grower: str, services: Iterable[ServiceMemory], outstanding: int, free_bytes: int) -> bool:
    """Whether the growth is a service's that takes what it was given, and there is room for all that was."""
    return outstanding <= free_bytes and any(
        service.service == grower
        and service.planned_bytes is not None
        and (service.used_bytes or 0) <= service.planned_bytes
        for service in services
    )
