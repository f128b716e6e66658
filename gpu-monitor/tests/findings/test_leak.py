"""What counts as a leak, on half hours of readings that take no time."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from gpu_monitor.findings.leak import STRETCHES, LeakLimits, LeakPolicy, Trend
from gpu_monitor.findings.time_series import straight_line
from gpu_monitor.memory.self_report import EngineState, SelfReport, Told
from gpu_monitor.memory.service_memory import ServiceMemory

MIB = 1024**2
LIMITS = LeakLimits(window_s=1800, slope_mib_per_hour=64, growth_mib=32)
HOUR_S = 3600
INTERVAL_S = 10
# Readings to a stretch, the time for which a figure may be missing.
MISSED = LIMITS.window_s // STRETCHES // INTERVAL_S
# MiB held at a time in seconds.
Curve = Callable[[float], float]


def service(mib: float, state: EngineState = EngineState.AWAKE, stale: bool = False, driver: bool = False):
    held = int(mib * MIB)
    told = Told(SelfReport(state, other_bytes=held), stale=stale)
    return ServiceMemory("tts-service", driver_bytes=held if driver else None, told=told)


class Followed:
    """A policy fed with one service's curve."""

    def __init__(self) -> None:
        self.policy = LeakPolicy(LIMITS)
        self.now_s = 0.0

    def through(self, hours: float, curve: Curve, **known: object) -> list[Trend | None]:
        """All trends while the service holds what `curve` says for `hours`."""
        trends: list[Trend | None] = []
        until_s = self.now_s + hours * HOUR_S
        while self.now_s < until_s:
            found = self.policy.on_reading(self.now_s, [service(curve(self.now_s), **known)])  # type: ignore[arg-type]
            trends.append(found.get("tts-service"))
            self.now_s += INTERVAL_S
        return trends


@pytest.fixture
def followed() -> Followed:
    return Followed()


def leaks(trends: list[Trend | None]) -> bool:
    return any(trend is not None and trend.leaking for trend in trends)


def noisy(curve: Curve, mib: float, seed: int = 1) -> Curve:
    chance = random.Random(seed)
    return lambda now_s: curve(now_s) + chance.uniform(-mib, mib)


def grows(mib_per_hour: float) -> Curve:
    return lambda now_s: 9000 + mib_per_hour * now_s / HOUR_S


def teeth(height_mib: float, period_s: float) -> Curve:
    return lambda now_s: height_mib * (now_s % period_s) / period_s


def test_a_steady_leak_is_found_within_three_quarters_of_an_hour(followed: Followed):
    trend = followed.through(0.75, noisy(grows(200), 20))[-1]
    assert trend is not None
    assert trend.leaking
    assert 150 * MIB < trend.slope < 250 * MIB
    assert 0 < trend.slope_lower < trend.slope


def test_a_leak_under_the_teeth_of_an_allocator_is_found(followed: Followed):
    leak, allocator = grows(200), teeth(800, period_s=45)
    assert leaks(followed.through(1, lambda now_s: leak(now_s) + allocator(now_s)))


def test_a_leak_in_small_steps_is_found(followed: Followed):
    assert leaks(followed.through(1, lambda now_s: 9000 + 20 * (now_s // 300)))


@pytest.mark.parametrize("period_s", [45, 110, 300, 600])
def test_the_teeth_of_an_allocator_are_no_leak(followed: Followed, period_s: float):
    curve = teeth(800, period_s)
    assert not leaks(followed.through(3, lambda now_s: 9000 + curve(now_s)))


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_leak(followed: Followed, seed: int):
    assert not leaks(followed.through(3, noisy(grows(0), 300, seed)))


@pytest.mark.parametrize("seed", range(5))
def test_use_that_wanders_is_no_leak(followed: Followed, seed: int):
    chance, off = random.Random(seed), 0.0

    def wandering(now_s: float) -> float:
        nonlocal off
        off = 0.97 * off + chance.gauss(0, 20)
        return 9000 + off

    assert not leaks(followed.through(4, wandering))


@pytest.mark.parametrize("took_s", [0, 30, 100])
@pytest.mark.parametrize("begins_s", [1800, 1850, 1915])
def test_a_model_that_is_loaded_is_no_leak(followed: Followed, took_s: float, begins_s: float):
    def loading(now_s: float) -> float:
        share = 1.0 if now_s >= begins_s + took_s else max(0.0, (now_s - begins_s) / max(took_s, 1))
        return 2000 + 9000 * share

    assert not leaks(followed.through(2, loading))


def test_growth_that_is_slow_or_small_is_no_leak(followed: Followed):
    assert not leaks(followed.through(3, grows(50)))
    assert leaks(followed.through(1, grows(100)))


def test_the_slope_before_the_limits_is_told_too(followed: Followed):
    trend = followed.through(1, grows(50))[-1]
    assert trend is not None
    assert trend.slope == pytest.approx(50 * MIB, rel=0.05)


def test_a_leak_is_over_when_the_growth_is(followed: Followed):
    followed.through(1, grows(200))
    after = followed.through(1, lambda now_s: 9200)
    assert leaks(after[:5])
    assert not leaks(after[-5:])


def test_a_leak_that_slows_down_a_little_is_not_told_twice(followed: Followed):
    followed.through(1, grows(100))
    slower = followed.through(2, lambda now_s: 9100 + 60 * (now_s - HOUR_S) / HOUR_S)
    assert all(trend is not None and trend.leaking for trend in slower[10:60])


def test_nothing_is_said_before_there_is_enough_to_see(followed: Followed):
    trends = followed.through(0.5, grows(1000))
    first = next(number for number, trend in enumerate(trends) if trend)
    # Two stretches of warming up and ten that are looked at, of two minutes each.
    assert 10 * 120 <= first * INTERVAL_S <= 13 * 120


@pytest.mark.parametrize("state", [EngineState.PARKED, EngineState.MOVING])
def test_an_engine_that_is_parked_begins_anew(followed: Followed, state: EngineState):
    followed.through(1, grows(200))
    assert followed.through(0.01, grows(200), state=state) == [None] * 4
    assert followed.through(0.3, grows(200))[-1] is None


def test_a_figure_from_elsewhere_begins_anew(followed: Followed):
    followed.through(1, grows(200))
    assert set(followed.through(0.3, grows(200), driver=True)[MISSED:]) == {None}


@pytest.mark.parametrize("told", [True, False])
def test_a_driver_that_fails_for_a_moment_takes_nothing_away(followed: Followed, told: bool):
    followed.through(1, grows(200), driver=True)
    known = service(9100) if told else ServiceMemory("tts-service")
    for _ in range(MISSED - 1):
        trend = followed.policy.on_reading(followed.now_s, [known])["tts-service"]
        assert trend.leaking
        followed.now_s += INTERVAL_S
    again = followed.through(0.2, grows(200), driver=True)
    assert all(trend is not None and trend.leaking for trend in again)


def test_a_driver_that_fails_for_long_is_waited_for_no_more(followed: Followed):
    followed.through(1, grows(200), driver=True)
    for _ in range(MISSED + 1):
        found = followed.policy.on_reading(followed.now_s, [ServiceMemory("tts-service")])
        followed.now_s += INTERVAL_S
    assert found == {}


def test_what_is_stale_is_not_looked_at_and_forgets_nothing(followed: Followed):
    followed.through(1, grows(200))
    assert leaks(followed.through(0.1, lambda now_s: 1, stale=True))
    assert leaks(followed.through(0.2, grows(200)))


def test_no_more_is_kept_than_the_window_holds(followed: Followed):
    followed.through(5, grows(0))
    series = followed.policy._series["tts-service"]  # pyright: ignore[reportPrivateUsage]
    assert len(series.stretches) <= STRETCHES + 1
    followed.policy.on_reading(followed.now_s, [])
    assert not followed.policy._series  # pyright: ignore[reportPrivateUsage]


def test_stretches_before_a_gap_leave_the_window(followed: Followed):
    followed.through(1, grows(200))
    followed.now_s += 2 * HOUR_S
    assert followed.through(0.2, grows(0))[-1] is None


def test_a_straight_line_goes_through_its_points():
    line = straight_line([(0, 1), (1, 3), (2, 5), (3, 7)])
    assert (line.slope, line.slope_error) == (pytest.approx(2), pytest.approx(0))


def test_the_error_of_a_slope_is_the_textbooks():
    # y = 2.5 - 0.5 x with residues +-0.5: residue sum 1, spread 5, two degrees of freedom.
    line = straight_line([(0, 3), (1, 1.5), (2, 1), (3, 1.5)])
    assert line.slope == pytest.approx(-0.5)
    assert line.slope_error == pytest.approx((1.0 / 2 / 5) ** 0.5)


@pytest.mark.parametrize("points", [[], [(0, 1), (1, 2)], [(1, 1), (1, 2), (1, 3)]])
def test_too_few_points_have_no_slope(points: list[tuple[float, float]]):
    assert straight_line(points).slope == 0
