"""Leak detection, on simulated hours of readings."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from gpu_monitor.findings.leak import BUCKETS, LeakDetector, LeakLimits, MemoryTrend
from gpu_monitor.memory.self_report import EngineState, ReceivedReport, SelfReport
from gpu_monitor.memory.service_memory import ServiceMemory

MIB = 1024**2
LIMITS = LeakLimits(window_s=1800, slope_mib_per_hour=64, growth_mib=32)
HOUR_S = 3600
INTERVAL_S = 10
# Readings per bucket: the time for which a figure may be missing.
MISSED = LIMITS.window_s // BUCKETS // INTERVAL_S
# MiB in use at a time in seconds.
Curve = Callable[[float], float]


def service(mib: float, state: EngineState = EngineState.AWAKE, stale: bool = False, driver: bool = False):
    held = int(mib * MIB)
    received = ReceivedReport(SelfReport(state, other_bytes=held), stale=stale)
    return ServiceMemory("tts-service", driver_bytes=held if driver else None, received=received)


class DetectorRun:
    """A detector that receives the readings of one service."""

    def __init__(self) -> None:
        self.policy = LeakDetector(LIMITS)
        self.now_s = 0.0

    def feed(self, hours: float, curve: Curve, **known: object) -> list[MemoryTrend | None]:
        """Feed `curve` for `hours`; return the trend after each reading."""
        trends: list[MemoryTrend | None] = []
        until_s = self.now_s + hours * HOUR_S
        while self.now_s < until_s:
            found = self.policy.on_reading(self.now_s, [service(curve(self.now_s), **known)])  # type: ignore[arg-type]
            trends.append(found.get("tts-service"))
            self.now_s += INTERVAL_S
        return trends


@pytest.fixture
def run() -> DetectorRun:
    return DetectorRun()


def leaks(trends: list[MemoryTrend | None]) -> bool:
    return any(trend is not None and trend.leaking for trend in trends)


def noisy(curve: Curve, mib: float, seed: int = 1) -> Curve:
    chance = random.Random(seed)
    return lambda now_s: curve(now_s) + chance.uniform(-mib, mib)


def grows(mib_per_hour: float) -> Curve:
    return lambda now_s: 9000 + mib_per_hour * now_s / HOUR_S


def teeth(height_mib: float, period_s: float) -> Curve:
    return lambda now_s: height_mib * (now_s % period_s) / period_s


def test_steady_leak_is_found_within_45_minutes(run: DetectorRun):
    trend = run.feed(0.75, noisy(grows(200), 20))[-1]
    assert trend is not None
    assert trend.leaking
    assert 150 * MIB < trend.slope < 250 * MIB
    assert 0 < trend.slope_lower < trend.slope


def test_leak_below_an_allocator_sawtooth_is_found(run: DetectorRun):
    leak, allocator = grows(200), teeth(800, period_s=45)
    assert leaks(run.feed(1, lambda now_s: leak(now_s) + allocator(now_s)))


def test_leak_in_small_steps_is_found(run: DetectorRun):
    assert leaks(run.feed(1, lambda now_s: 9000 + 20 * (now_s // 300)))


@pytest.mark.parametrize("period_s", [45, 110, 300, 600])
def test_allocator_sawtooth_is_not_a_leak(run: DetectorRun, period_s: float):
    curve = teeth(800, period_s)
    assert not leaks(run.feed(3, lambda now_s: 9000 + curve(now_s)))


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_not_a_leak(run: DetectorRun, seed: int):
    assert not leaks(run.feed(3, noisy(grows(0), 300, seed)))


@pytest.mark.parametrize("seed", range(5))
def test_random_walk_is_not_a_leak(run: DetectorRun, seed: int):
    chance, off = random.Random(seed), 0.0

    def wandering(now_s: float) -> float:
        nonlocal off
        off = 0.97 * off + chance.gauss(0, 20)
        return 9000 + off

    assert not leaks(run.feed(4, wandering))


@pytest.mark.parametrize("took_s", [0, 30, 100])
@pytest.mark.parametrize("begins_s", [1800, 1850, 1915])
def test_loading_a_model_is_not_a_leak(run: DetectorRun, took_s: float, begins_s: float):
    def loading(now_s: float) -> float:
        share = 1.0 if now_s >= begins_s + took_s else max(0.0, (now_s - begins_s) / max(took_s, 1))
        return 2000 + 9000 * share

    assert not leaks(run.feed(2, loading))


def test_growth_below_the_limits_is_not_a_leak(run: DetectorRun):
    assert not leaks(run.feed(3, grows(50)))
    assert leaks(run.feed(1, grows(100)))


def test_trend_below_the_limits_is_reported(run: DetectorRun):
    trend = run.feed(1, grows(50))[-1]
    assert trend is not None
    assert trend.slope == pytest.approx(50 * MIB, rel=0.05)


def test_leak_ends_when_growth_stops(run: DetectorRun):
    run.feed(1, grows(200))
    after = run.feed(1, lambda now_s: 9200)
    assert leaks(after[:5])
    assert not leaks(after[-5:])


def test_slower_leak_stays_reported(run: DetectorRun):
    run.feed(1, grows(100))
    slower = run.feed(2, lambda now_s: 9100 + 60 * (now_s - HOUR_S) / HOUR_S)
    assert all(trend is not None and trend.leaking for trend in slower[10:60])


def test_no_trend_before_ten_buckets(run: DetectorRun):
    trends = run.feed(0.5, grows(1000))
    first = next(number for number, trend in enumerate(trends) if trend)
    # Two buckets of warm-up and ten that count, of two minutes each.
    assert 10 * 120 <= first * INTERVAL_S <= 13 * 120


@pytest.mark.parametrize("state", [EngineState.PARKED, EngineState.MOVING])
def test_parking_restarts_the_series(run: DetectorRun, state: EngineState):
    run.feed(1, grows(200))
    assert run.feed(0.01, grows(200), state=state) == [None] * 4
    assert run.feed(0.3, grows(200))[-1] is None


def test_change_of_source_restarts_the_series(run: DetectorRun):
    run.feed(1, grows(200))
    assert set(run.feed(0.3, grows(200), driver=True)[MISSED:]) == {None}


@pytest.mark.parametrize("received", [True, False])
def test_short_driver_failure_keeps_the_trend(run: DetectorRun, received: bool):
    run.feed(1, grows(200), driver=True)
    known = service(9100) if received else ServiceMemory("tts-service")
    for _ in range(MISSED - 1):
        trend = run.policy.on_reading(run.now_s, [known])["tts-service"]
        assert trend.leaking
        run.now_s += INTERVAL_S
    again = run.feed(0.2, grows(200), driver=True)
    assert all(trend is not None and trend.leaking for trend in again)


def test_long_driver_failure_drops_the_trend(run: DetectorRun):
    run.feed(1, grows(200), driver=True)
    for _ in range(MISSED + 1):
        found = run.policy.on_reading(run.now_s, [ServiceMemory("tts-service")])
        run.now_s += INTERVAL_S
    assert found == {}


def test_stale_figures_are_ignored_and_keep_the_trend(run: DetectorRun):
    run.feed(1, grows(200))
    assert leaks(run.feed(0.1, lambda now_s: 1, stale=True))
    assert leaks(run.feed(0.2, grows(200)))


def test_series_is_bounded_by_the_window(run: DetectorRun):
    run.feed(5, grows(0))
    series = run.policy._series["tts-service"]  # pyright: ignore[reportPrivateUsage]
    assert len(series.buckets) <= BUCKETS + 1
    run.policy.on_reading(run.now_s, [])
    assert not run.policy._series  # pyright: ignore[reportPrivateUsage]


def test_buckets_before_a_gap_leave_the_window(run: DetectorRun):
    run.feed(1, grows(200))
    run.now_s += 2 * HOUR_S
    assert run.feed(0.2, grows(0))[-1] is None
