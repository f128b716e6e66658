"""Whether a service leaks: pure policy, over the least memory it held in each stretch of a window.

Allocators keep what was freed and give it back in heaps: memory goes up and down like the teeth of a saw. What it comes
down to each time is what is really held, so a line is laid through the least of each stretch. A model that is loaded
is a step, not a slope: the two largest rises count like the others (two, since loading may last from one stretch to
the next).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from statistics import median

from gpu_monitor.findings.time_series import Sustained, straight_line
from gpu_monitor.memory.self_report import EngineState
from gpu_monitor.memory.service_memory import ServiceMemory

MIB = 1024**2
STRETCHES = 15
# Below this many stretches nothing is said.
LEAST_STRETCHES = 10
# Student's t for 95 % and 8 degrees of freedom, those of the fewest stretches; of more, it would be less.
STUDENT_T = 2.306
# Rises that may be steps.
STEPS = 2
# Stretches after an engine woke that are not looked at: it warms up.
WARM_UP_STRETCHES = 2
# Stretches through which it must look like a leak: use that wanders does so for half a window now and then. Of 40
# made-up services whose use wanders (by 82 MiB, minutes at a time), 34 looked like it in six hours, and one so long.
BEGINS_STRETCHES = 8
ENDS_STRETCHES = 4
# A leak is over when its growth is below this share of the limit.
RELIEVED_AT = 0.5
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Trend:
    """How the least memory of a service grows over the window; slopes in bytes an hour."""

    slope: float
    # Lower end of the slope's 95 % confidence interval.
    slope_lower: float
    # Over the window.
    growth_bytes: int
    leaking: bool


@dataclass(frozen=True, slots=True)
class LeakLimits:
    """What counts as a leak."""

    window_s: float
    slope_mib_per_hour: float
    growth_mib: float


class _Series:
    """The stretches of one service while it is steady, at most `STRETCHES`."""

    def __init__(self, from_driver: bool, steady_since_s: float, stretch_s: float) -> None:
        self.from_driver = from_driver
        self.leak = Sustained(BEGINS_STRETCHES * stretch_s, ENDS_STRETCHES * stretch_s)
        self.steady_since_s = steady_since_s
        # When it was last counted by the same.
        self.counted_s = steady_since_s
        self.trend: Trend | None = None
        # Ordinal of the stretch and the least bytes in it; the last one is still going on.
        self.stretches: deque[tuple[int, int]] = deque(maxlen=STRETCHES + 1)

    def add(self, stretch: int, used_bytes: int) -> bool:
        """Whether a stretch is over now."""
        if self.stretches and self.stretches[-1][0] == stretch:
            self.stretches[-1] = (stretch, min(self.stretches[-1][1], used_bytes))
            return False
        self.stretches.append((stretch, used_bytes))
        while stretch - self.stretches[0][0] > STRETCHES:
            self.stretches.popleft()
        return True


class LeakPolicy:
    """Follows every service from one reading to the next."""

    def __init__(self, limits: LeakLimits) -> None:
        self._limits = limits
        self._stretch_s = limits.window_s / STRETCHES
        self._series: dict[str, _Series] = {}

    def on_reading(self, now_s: float, services: Iterable[ServiceMemory]) -> dict[str, Trend]:
        """The trend of each service that has been steady for long enough, by name; the others are forgotten."""
        before, self._series = self._series, {}
        for service in services:
            if service.state is not EngineState.AWAKE:
                continue
            series = self._with(before.get(service.service), now_s, service)
            if series is not None:
                self._series[service.service] = series
        return {name: series.trend for name, series in self._series.items() if series.trend}

    def _with(self, series: _Series | None, now_s: float, service: ServiceMemory) -> _Series | None:
        """`series` with one reading more, or a new one; None for a service whose figure has been gone for long."""
        from_driver = service.driver_bytes is not None
        if service.used_bytes is None or (series is not None and series.from_driver is not from_driver):
            # Driver and service count differently: a change between them is no growth. But a driver that fails for a
            # moment takes nothing away.
            return series if series is not None and now_s - series.counted_s < self._stretch_s else None
        series = series or _Series(from_driver, now_s, self._stretch_s)
        series.counted_s = now_s
        if service.known_now:
            self._follow(series, now_s, service.used_bytes)
        return series

    def _follow(self, series: _Series, now_s: float, used_bytes: int) -> None:
        if now_s - series.steady_since_s < WARM_UP_STRETCHES * self._stretch_s:
            return
        if series.add(int(now_s // self._stretch_s), used_bytes):
            complete = list(series.stretches)[:-1]
            found = trend(complete, self._stretch_s, series.leak.active, self._limits)
            leaking = series.leak.on_reading(now_s, found is not None and found.leaking)
            series.trend = replace(found, leaking=leaking) if found else None


def trend(stretches: list[tuple[int, int]], stretch_s: float, leaking: bool, limits: LeakLimits) -> Trend | None:
    """The trend of `stretches` (ordinal, bytes) by themselves, of a service that was `leaking` or not.

    None for too few of them.
    """
    if len(stretches) < LEAST_STRETCHES:
        return None
    line = straight_line(without_steps(stretches))
    per_hour = HOUR_S / stretch_s
    slope, lower = line.slope * per_hour, (line.slope - STUDENT_T * line.slope_error) * per_hour
    growth_bytes = int(line.slope * (stretches[-1][0] - stretches[0][0]))
    ease = RELIEVED_AT if leaking else 1
    leaks = (
        lower > 0 and slope > ease * limits.slope_mib_per_hour * MIB and growth_bytes > ease * limits.growth_mib * MIB
    )
    return Trend(slope, lower, growth_bytes, leaks)


def without_steps(stretches: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    """`stretches` as if the largest rises between them had been like the others."""
    rises = [after - before for (_, before), (_, after) in pairwise(stretches)]
    steps = sorted(range(len(rises)), key=lambda number: rises[number])[-STEPS:]
    usual = median(rise for number, rise in enumerate(rises) if number not in steps)
    bytes_then = accumulate(
        (usual if number in steps else rise for number, rise in enumerate(rises)), initial=float(stretches[0][1])
    )
    return [(float(ordinal), held) for (ordinal, _), held in zip(stretches, bytes_then, strict=True)]
