"""Shared parts of the detectors: a least-squares line, and a condition that must last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinearFit:
    """Slope of a fitted line and the slope's standard error; both 0 with fewer than three distinct x."""

    slope: float
    slope_error: float


def linear_fit(points: Sequence[tuple[float, float]]) -> LinearFit:
    """Fit a line through `points` (x, y) by ordinary least squares."""
    count = len(points)
    if count < 3:
        return LinearFit(0.0, 0.0)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if not spread:
        return LinearFit(0.0, 0.0)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    residue = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    return LinearFit(slope, math.sqrt(residue / (count - 2) / spread))


class SustainedCondition:
    """Becomes active after a condition has held for `begin_s`, inactive after it has been false for `end_s`."""

    def __init__(self, begin_s: float, end_s: float) -> None:
        self.active = False
        self._begin_s = begin_s
        self._end_s = end_s
        # Time since which the condition differs from `active`.
        self._differs_since_s: float | None = None

    def update(self, now_s: float, holds: bool) -> bool:
        """Record whether the condition `holds` at `now_s`; return `active`."""
        if holds is self.active:
            self._differs_since_s = None
            return self.active
        if self._differs_since_s is None:
            self._differs_since_s = now_s
        if now_s - self._differs_since_s >= (self._begin_s if holds else self._end_s):
            self.active, self._differs_since_s = holds, None
        return self.active
