"""The slope and its interval against published numbers: NIST's dataset Norris, and tables of Student's t."""

from __future__ import annotations

import math
import random

import pytest
from slope import HOUR_S, Sample, Slope, fit_slope, minute_minima, student_t

# Statistical Reference Datasets, linear regression, "Norris" (y, x): certified slope 1.00211681802045, its standard
# deviation 0.429796848199937E-03, 34 degrees of freedom.
NORRIS = (
    *((0.1, 0.2), (338.8, 337.4), (118.1, 118.2), (888.0, 884.6), (9.2, 10.1), (228.1, 226.5), (668.5, 666.3)),
    *((998.5, 996.3), (449.1, 448.6), (778.9, 777.0), (559.2, 558.2), (0.3, 0.4), (0.1, 0.6), (778.1, 775.5)),
    *((668.8, 666.9), (339.3, 338.0), (448.9, 447.5), (10.8, 11.6), (557.7, 556.0), (228.3, 228.1), (998.0, 995.8)),
    *((888.8, 887.6), (119.6, 120.2), (0.3, 0.3), (0.6, 0.3), (557.6, 556.8), (339.3, 339.1), (888.0, 887.2)),
    *((998.5, 999.0), (778.9, 779.0), (10.2, 11.1), (117.6, 118.3), (228.9, 229.2), (668.4, 669.1), (449.2, 448.9)),
    (0.2, 0.5),
)
SLOPE, SLOPE_DEVIATION = 1.00211681802045, 0.429796848199937e-03


def norris(life: int = 1, level: float = 0.0) -> list[Sample]:
    return [Sample(x, y + level, life) for y, x in NORRIS]


def test_slope_is_the_certified_one() -> None:
    fit = fit_slope(norris())
    assert fit.per_hour == pytest.approx(SLOPE * HOUR_S, rel=1e-12)
    assert (fit.points, fit.lives) == (36, 1)


def test_interval_follows_from_the_certified_deviation() -> None:
    fit = fit_slope(norris())
    # At 34 degrees of freedom, t is 2.0322. The residuals in the order of x correlate, so that the interval is wider.
    assert fit.upper - fit.per_hour >= 2.0322 * SLOPE_DEVIATION * HOUR_S
    assert fit.upper - fit.per_hour == pytest.approx(fit.per_hour - fit.lower)


def test_interval_without_correlation_is_the_textbooks() -> None:
    # Residuals +1, -1, -1, +1, ... of a line of slope 2: they do not follow each other.
    samples = [Sample(x, 2 * x + (1 if x % 4 in (0, 3) else -1), 1) for x in range(24)]
    fit = fit_slope(samples)
    spread = sum((x - 11.5) ** 2 for x in range(24))
    slope = 2 + sum((x - 11.5) * (1 if x % 4 in (0, 3) else -1) for x in range(24)) / spread
    squares = sum((s.value - slope * (s.at_s - 11.5) - sum(e.value for e in samples) / 24) ** 2 for s in samples)
    deviation = math.sqrt(squares / 22 / spread)
    assert fit.per_hour == pytest.approx(slope * HOUR_S)
    # t at 22 degrees of freedom.
    assert fit.upper == pytest.approx((slope + 2.0739 * deviation) * HOUR_S, rel=1e-4)


@pytest.mark.parametrize(
    ("degrees", "expected"),
    # Two-sided 95 %, from the tables of any textbook.
    [(1, 12.7062), (2, 4.3027), (5, 2.5706), (8, 2.3060), (10, 2.2281), (30, 2.0423), (60, 2.0003), (120, 1.9799)],
)
def test_students_t_is_that_of_the_tables(degrees: int, expected: float) -> None:
    assert student_t(0.95, degrees) == pytest.approx(expected, abs=6e-5)


def test_a_restart_changes_the_level_and_not_the_slope() -> None:
    once, twice = fit_slope(norris()), fit_slope([*norris(), *norris(life=2, level=5_000.0)])
    assert twice.per_hour == pytest.approx(once.per_hour, rel=1e-9)
    assert (twice.points, twice.lives) == (72, 2)


def test_too_few_points_cannot_tell() -> None:
    unknown = (-math.inf, math.inf)
    for samples in ([], norris()[:1], norris()[:2], [Sample(0, 1, 1), Sample(0, 2, 2), Sample(1, 2, 2)]):
        fit = fit_slope(samples)
        assert (fit.lower, fit.upper) == unknown


def test_interval_holds_the_slope_of_a_drifting_value() -> None:
    # A random walk around a line, as memory is: with points taken as independent, far fewer intervals hold the slope.
    rng, held = random.Random(1), 0
    for _ in range(200):
        noise, samples = 0.0, list[Sample]()
        for minute in range(60):
            noise = 0.6 * noise + rng.gauss(0, 1)
            samples.append(Sample(60.0 * minute, 0.01 * minute + noise, 1))
        fit = fit_slope(samples)
        held += fit.lower <= 0.01 * 60 <= fit.upper
    assert held >= 180


def test_minima_leave_out_the_sawtooth_and_the_warm_up() -> None:
    # From 100 up by 1 a second, back to 100 each minute; a life of two minutes, one of three.
    samples = [Sample(float(s), 100.0 + s % 60, 7) for s in range(120)]
    samples += [Sample(float(s), 900.0 + s % 60, 8) for s in range(120, 300)]
    minima = minute_minima(samples, warm_up_s=60)
    assert minima == [Sample(90, 100, 7), Sample(210, 900, 8), Sample(270, 900, 8)]
    assert fit_slope(minute_minima(samples)) == Slope(0.0, 0.0, 0.0, 5, 2)
