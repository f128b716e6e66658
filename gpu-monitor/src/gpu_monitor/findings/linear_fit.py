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
