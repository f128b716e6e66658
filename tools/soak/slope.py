"""The growth of a measured value over time, with its 95 % interval. Pure.

Memory follows a sawtooth: garbage waits for its collection. Its minima show what is held, so a line is fitted through
the minimum of each minute. A process that was restarted has another level and the same slope: each of its lives has an
intercept of its own. Minutes are not independent of each other, which would make the interval far too narrow: it is
widened by their autocorrelation.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gpu_monitor.findings.time_series import linear_fit

MINUTE_S = 60.0
HOUR_S = 3600.0
# The interval holds the slope with this probability.
CONFIDENCE = 0.95
# Beyond this, the minutes say nothing about each other's independence.
_MAX_AUTOCORRELATION = 0.9


@dataclass(frozen=True, slots=True)
class Sample:
    """A value at a time in seconds, of one life of a process (its id)."""

    at_s: float
    value: float
    life: int


@dataclass(frozen=True, slots=True)
class Slope:
    """Growth per hour, and the ends of its 95 % interval, which is infinite with too few points to tell."""

    per_hour: float
    lower: float
    upper: float
    points: int
    lives: int


def minute_minima(samples: Sequence[Sample], warm_up_s: float = 0.0) -> list[Sample]:
    """The minimum of each minute of each life, at the middle of the minute, without each life's first `warm_up_s`."""
    began_s: dict[int, float] = {}
    minima: dict[tuple[int, int], float] = {}
    for sample in sorted(samples, key=lambda sample: sample.at_s):
        first_s = began_s.setdefault(sample.life, sample.at_s)
        if sample.at_s - first_s >= warm_up_s:
            minute = sample.life, int(sample.at_s // MINUTE_S)
            minima[minute] = min(sample.value, minima.get(minute, math.inf))
    return [Sample((minute + 0.5) * MINUTE_S, value, life) for (life, minute), value in minima.items()]


def fit_slope(samples: Sequence[Sample]) -> Slope:
    """The common slope of all lives by least squares, each with a level of its own."""
    by_life: defaultdict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_life[sample.life].append(sample)
    # A life of one sample has a level and says nothing about growth.
    lives = [life for life in by_life.values() if len(life) > 1]
    centred = [_centred(life) for life in lives]
    points = [point for life in centred for point in life]
    degrees = len(points) - len(lives) - 1
    if degrees < 1:
        return Slope(0.0, -math.inf, math.inf, len(points), len(lives))
    fit = linear_fit(points)
    correlation = _autocorrelation([[y - fit.slope * x for x, y in life] for life in centred])
    # Of correlated points, only so many count as independent.
    effective = degrees * (1 - correlation) / (1 + correlation)
    if effective < 1:
        return Slope(fit.slope * HOUR_S, -math.inf, math.inf, len(points), len(lives))
    # `linear_fit` counts one level; here each life has one.
    error = fit.slope_error * math.sqrt((len(points) - 2) / degrees) * math.sqrt((1 + correlation) / (1 - correlation))
    reach = student_t(CONFIDENCE, effective) * error
    slope = fit.slope * HOUR_S
    return Slope(slope, slope - reach * HOUR_S, slope + reach * HOUR_S, len(points), len(lives))


def _centred(life: Sequence[Sample]) -> list[tuple[float, float]]:
    mean_s = sum(sample.at_s for sample in life) / len(life)
    mean = sum(sample.value for sample in life) / len(life)
    return [(sample.at_s - mean_s, sample.value - mean) for sample in sorted(life, key=lambda sample: sample.at_s)]


def _autocorrelation(residuals: Sequence[Sequence[float]]) -> float:
    """The correlation of each residual with the next one of its life, from 0 to `_MAX_AUTOCORRELATION`.

    Residuals of a fit correlate less than what was fitted: Marriott and Pope (1954) add (1 + 4r) / n.
    """
    squares = sum(value * value for life in residuals for value in life)
    if not squares:
        return 0.0
    products = sum(first * second for life in residuals for first, second in pairwise(life))
    found = products / squares
    return min(_MAX_AUTOCORRELATION, max(0.0, found + (1 + 4 * found) / sum(map(len, residuals))))


def student_t(confidence: float, degrees: float) -> float:
    """The value that Student's t exceeds in either direction with a probability of 1 - `confidence`.

    By bisection of the integral of its density; accurate to 1e-6 for a degree of freedom of 1 and more.
    """
    low, high = 0.0, 1.0
    while _central_probability(high, degrees) < confidence:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        if _central_probability(middle, degrees) < confidence:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _central_probability(reach: float, degrees: float) -> float:
    """The probability of Student's t within `reach` of 0: with t = sqrt(n) tan(a), a smooth integral over a."""
    end = math.atan(reach / math.sqrt(degrees))
    log_scale = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - 0.5 * math.log(math.pi)
    steps = 400
    width = end / steps
    # Simpson's rule.
    total = sum(
        (1 if index in (0, steps) else 4 if index % 2 else 2) * math.cos(index * width) ** (degrees - 1)
        for index in range(steps + 1)
    )
    return 2 * math.exp(log_scale) * total * width / 3
