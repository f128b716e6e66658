"""A straight line through points, by least squares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StraightLine:
    """Its slope, and the standard error of that; both 0 without enough points to tell."""

    slope: float
    slope_error: float


def straight_line(points: Sequence[tuple[float, float]]) -> StraightLine:
    """The line through `points` (x, y) with the least sum of squared distances in y."""
    count = len(points)
    if count < 3:
        return StraightLine(0.0, 0.0)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if not spread:
        return StraightLine(0.0, 0.0)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    residue = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    return StraightLine(slope, math.sqrt(residue / (count - 2) / spread))


class Sustained:
    """Begins when a condition has held for `begin_s`, and ends when it has been gone for `end_s`."""

    def __init__(self, begin_s: float, end_s: float) -> None:
        self.active = False
        self._begin_s = begin_s
        self._end_s = end_s
        # Since when the condition differs from `active`.
        self._differs_since_s: float | None = None

    def on_reading(self, now_s: float, holds: bool) -> bool:
        """Whether it is on, now that the condition `holds` or not."""
        if holds is self.active:
            self._differs_since_s = None
            return self.active
        if self._differs_since_s is None:
            self._differs_since_s = now_s
        if now_s - self._differs_since_s >= (self._begin_s if holds else self._end_s):
            self.active, self._differs_since_s = holds, None
        return self.active
