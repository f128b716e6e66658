"""The verdict of the overload proof: what fails it, and the table's times."""

from __future__ import annotations

import pytest
from overload import OverloadResult, problems, row, times

PLACES = {"places": 2, "limited_by": "cores"}


def good(**fields: object) -> OverloadResult:
    fields = {
        "waits_s": [0.5] * 100,
        "told_s": [0.2, 0.3],
        "most_admitted": 2,
        "least_places": 2,
        "rest_s": [0.01],
        **fields,
    }
    return OverloadResult(**fields)


@pytest.mark.parametrize(
    ("result", "found"),
    [
        (good(), []),
        (good(waits_s=[0.5] * 99 + [3.5]), []),
        (good(waits_s=[0.5] * 98 + [3.5] * 2), ["98 of 100 admitted questions answered within 3 s"]),
        (good(failures=["an apology"] * 2), ["100 of 102 admitted questions answered within 3 s"]),
        (good(waits_s=[]), ["0 of 0 admitted questions answered within 3 s"]),
        (good(told_s=[0.2, 1.2], rest_s=[1.5]), ["2 told later than 1 s"]),
        (good(most_admitted=1), ["1 admitted at a time, of 2 places"]),
        (good(most_admitted=1, least_places=1), []),
        (good(rest_failures=["status 500"]), ["status 500"]),
    ],
)
def test_each_promise_is_checked(result: OverloadResult, found: list[str]) -> None:
    assert problems(result, PLACES, callers=5, bar_s=3) == found


def test_fewer_callers_than_places_need_not_fill_them() -> None:
    assert problems(good(most_admitted=1), PLACES, callers=1, bar_s=3) == []


def test_times_are_median_p95_and_longest() -> None:
    assert times([]) == "–"
    assert times([value / 10 for value in range(1, 101)]) == "5.05 / 9.50 / 10.00"


def test_row_names_what_limits_and_what_was_shed() -> None:
    text = row("default", 5, good(load_steps=("speculation",), frames=100, late_frames=1), PLACES, 3)
    assert (
        "| default | 5 | 2, at least 2 (cores) | 2 | 100 | 100, 100 of them within 3 s | 0.50 / 0.50 / 0.50 | 2 |"
        in text
    )
    assert text.endswith("| speculation | 1.0% |")
