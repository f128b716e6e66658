"""The report of the waiting times: percentiles by nearest rank, one row for each cause, failures kept apart."""

from __future__ import annotations

import math
import os

import pytest
from footprint import pss_bytes
from voice_to_voice import AskedQuestion, percentile, report


def asked(waited_ms: float, decided_by: str = "prediction", text: str = "When?") -> AskedQuestion:
    return AskedQuestion(text, text, waited_ms, decided_by, 300, 150, "briefing")


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([5.0], 50, 5.0), ([5.0], 95, 5.0), ([1.0, 2.0, 3.0, 4.0], 50, 2.0), (list(map(float, range(1, 101))), 95, 95.0)],
)
def test_percentile_is_the_nearest_rank(values: list[float], percent: int, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_report_has_a_row_for_each_cause_and_one_for_all() -> None:
    text = report([asked(400), asked(600), asked(1500, "habit")], {"stt": 300 << 20, "launcher": 70 << 20}, False)
    assert "3 of 3 questions answered" in text
    assert "| prediction | 2 | 400 | 600 |" in text
    assert "| habit | 1 | 1500 | 1500 |" in text
    assert "| all | 3 | 600 | 1500 |" in text
    assert "| all services | 300 |" in text


def test_unanswered_question_is_counted_and_listed_only() -> None:
    text = report([asked(400), asked(math.nan, "not answered", "Where?")], {"stt": 1 << 20}, True)
    assert "1 of 2 questions answered" in text
    assert "| all | 1 | 400 | 400 |" in text
    assert "not answered" in text
    assert "Where?" in text


def test_proportional_set_size_of_this_process_is_measured() -> None:
    assert pss_bytes({"own": os.getpid()})["own"] > 5 << 20
