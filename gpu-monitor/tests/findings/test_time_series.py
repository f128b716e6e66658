"""Least-squares lines and conditions that must last."""

from __future__ import annotations

import pytest
from gpu_monitor.findings.time_series import SustainedCondition, linear_fit


def test_condition_must_hold_to_begin_and_be_false_to_end():
    sustained = SustainedCondition(begin_s=2, end_s=3)
    readings = [(0, True), (1, False), (2, True), (4, True), (5, False), (6, True), (7, False), (9, False), (10, False)]
    assert [sustained.update(*reading) for reading in readings] == [
        *[False, False, False, True, True],
        *[True, True, True, False],
    ]


def test_condition_with_zero_duration_begins_at_once():
    assert SustainedCondition(begin_s=0, end_s=9).update(5, True)


def test_linear_fit_matches_collinear_points():
    line = linear_fit([(0, 1), (1, 3), (2, 5), (3, 7)])
    assert (line.slope, line.slope_error) == (pytest.approx(2), pytest.approx(0))


def test_slope_error_matches_the_textbook_formula():
    # y = 2.5 - 0.5 x with residues +-0.5: residue sum 1, spread 5, two degrees of freedom.
    line = linear_fit([(0, 3), (1, 1.5), (2, 1), (3, 1.5)])
    assert line.slope == pytest.approx(-0.5)
    assert line.slope_error == pytest.approx((1.0 / 2 / 5) ** 0.5)


@pytest.mark.parametrize("points", [[], [(0, 1), (1, 2)], [(1, 1), (1, 2), (1, 3)]])
def test_linear_fit_needs_three_distinct_x(points: list[tuple[float, float]]):
    assert linear_fit(points).slope == 0
