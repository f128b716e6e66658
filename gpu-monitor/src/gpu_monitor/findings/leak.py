"""Detects memory leaks from the minimum use of a service in each bucket of a sliding window. Pure.

Allocators cache freed memory and release it in blocks, so use follows a sawtooth. Its minima show the memory really
held, therefore a line is fitted through the minimum of each bucket. Loading a model is a step, not a slope: the two
largest rises are replaced by the median rise (two, because loading may span two buckets).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from statistics import median

from gpu_monitor.findings.time_series import SustainedCondition, linear_fit
from gpu_monitor.memory.self_report import EngineState
from gpu_monitor.memory.service_memory import ServiceMemory

MIB = 1024**2
BUCKETS = 15
# With fewer buckets no trend is reported.
MIN_BUCKETS = 10
# Student's t for a 95 % interval and 8 degrees of freedom (10 buckets); more buckets would allow a smaller value.
STUDENT_T = 2.306
# Rises that are treated as steps.
MAX_STEPS = 2
# Buckets ignored after an engine woke, while it warms up.
WARM_UP_BUCKETS = 2
# Buckets for which the criteria must hold: a random walk meets them for half a window now and then. Of 40 simulated
# services with a random walk (82 MiB, over minutes), 34 met them at some time within six hours, one for this long.
BEGIN_BUCKETS = 8
END_BUCKETS = 4
# A leak ends when its growth is below this share of the limits.
END_SHARE = 0.5
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class MemoryTrend:
    """Growth of a service's minimum use over the window; slopes in bytes per hour."""

    slope: float
    # Lower end of the slope's 95 % confidence interval.
    slope_lower: float
    # Over the window.
    growth_bytes: int
    leaking: bool


@dataclass(frozen=True, slots=True)
class LeakLimits:
    """Limits above which growth counts as a leak."""

    window_s: float
    slope_mib_per_hour: float
    growth_mib: float


class _Series:
    """Buckets of one service since its engine woke, at most `BUCKETS` complete ones."""

    def __init__(self, from_driver: bool, steady_since_s: float, bucket_s: float) -> None:
        self.from_driver = from_driver
        self.leak = SustainedCondition(BEGIN_BUCKETS * bucket_s, END_BUCKETS * bucket_s)
        self.steady_since_s = steady_since_s
        # Time of the last figure from the same source.
        self.counted_s = steady_since_s
        self.trend: MemoryTrend | None = None
        # (ordinal, minimum bytes) of each bucket; the last one is incomplete.
        self.buckets: deque[tuple[int, int]] = deque(maxlen=BUCKETS + 1)

    def add(self, bucket: int, used_bytes: int) -> bool:
        """Add a figure to bucket number `bucket`; return whether a new bucket began."""
        if self.buckets and self.buckets[-1][0] == bucket:
            self.buckets[-1] = (bucket, min(self.buckets[-1][1], used_bytes))
            return False
        self.buckets.append((bucket, used_bytes))
        while bucket - self.buckets[0][0] > BUCKETS:
            self.buckets.popleft()
        return True


class LeakDetector:
    """Tracks the memory trend of every service."""

    def __init__(self, limits: LeakLimits) -> None:
        self._limits = limits
        self._bucket_s = limits.window_s / BUCKETS
        self._series: dict[str, _Series] = {}

    def on_reading(self, now_s: float, services: Iterable[ServiceMemory]) -> dict[str, MemoryTrend]:
        """Trends of the services observed for long enough, by name. Services that are not awake are forgotten."""
        before, self._series = self._series, {}
        for service in services:
            if service.state is not EngineState.AWAKE:
                continue
            series = self._updated_series(before.get(service.service), now_s, service)
            if series is not None:
                self._series[service.service] = series
        return {name: series.trend for name, series in self._series.items() if series.trend}

    def _updated_series(self, series: _Series | None, now_s: float, service: ServiceMemory) -> _Series | None:
        """`series` (or a new one) with this reading added; None once the figure has been missing for a bucket."""
        from_driver = service.driver_bytes is not None
        if service.used_bytes is None or (series is not None and series.from_driver is not from_driver):
            # Driver and self-report count differently, so a change of source is not growth. A short driver failure
            # keeps the series.
            return series if series is not None and now_s - series.counted_s < self._bucket_s else None
        series = series or _Series(from_driver, now_s, self._bucket_s)
        series.counted_s = now_s
        if service.is_current:
            self._add_reading(series, now_s, service.used_bytes)
        return series

    def _add_reading(self, series: _Series, now_s: float, used_bytes: int) -> None:
        if now_s - series.steady_since_s < WARM_UP_BUCKETS * self._bucket_s:
            return
        if series.add(int(now_s // self._bucket_s), used_bytes):
            complete = list(series.buckets)[:-1]
            found = estimate_trend(complete, self._bucket_s, series.leak.active, self._limits)
            leaking = series.leak.update(now_s, found is not None and found.leaking)
            series.trend = replace(found, leaking=leaking) if found else None


def estimate_trend(
    buckets: list[tuple[int, int]], bucket_s: float, leaking: bool, limits: LeakLimits
) -> MemoryTrend | None:
    """Fit a trend through `buckets` (ordinal, bytes); None with fewer than `MIN_BUCKETS`.

    The limits are halved for a service that is already `leaking`.
    """
    if len(buckets) < MIN_BUCKETS:
        return None
    fit = linear_fit(remove_steps(buckets))
    per_hour = HOUR_S / bucket_s
    slope, lower = fit.slope * per_hour, (fit.slope - STUDENT_T * fit.slope_error) * per_hour
    growth_bytes = int(fit.slope * (buckets[-1][0] - buckets[0][0]))
    share = END_SHARE if leaking else 1
    leaks = (
        lower > 0 and slope > share * limits.slope_mib_per_hour * MIB and growth_bytes > share * limits.growth_mib * MIB
    )
    return MemoryTrend(slope, lower, growth_bytes, leaks)


def remove_steps(buckets: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    """`buckets` with their largest rises replaced by the median of the others."""
    rises = [after - before for (_, before), (_, after) in pairwise(buckets)]
    steps = sorted(range(len(rises)), key=lambda number: rises[number])[-MAX_STEPS:]
    median_rise = median(rise for number, rise in enumerate(rises) if number not in steps)
    bytes_then = accumulate(
        (median_rise if number in steps else rise for number, rise in enumerate(rises)), initial=float(buckets[0][1])
    )
    return [(float(ordinal), held) for (ordinal, _), held in zip(buckets, bytes_then, strict=True)]
