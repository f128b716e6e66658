"""What a soak passes and what it fails, by made-up measurements."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from callers import Outcomes
from slope import Slope
from soak import MB, Soaked
from vitals import Vitals

REST = Vitals(pid=1, rss_bytes=100 * MB, threads=8, descriptors=40, tasks=20)
FLAT = Slope(1.0 * MB, -2.0 * MB, 4.0 * MB, 45, 1)


@pytest.fixture
def soaked() -> Soaked:
    outcomes = Outcomes()
    outcomes.count("spoken questions answered")
    return Soaked(
        60, outcomes, {"stt": 3}, {"stt": REST}, {"stt": 150 * MB}, {"stt": REST}, {"stt": FLAT}, {"stt": 90 * MB}
    )


def test_a_flat_mesh_passes(soaked: Soaked) -> None:
    assert soaked.problems() == []
    assert (
        "| stt | 100 | 150 | 100 | 90 | +1.0 | -2.0 to +4.0 | 45 | 1 | 20 → 20 | 8 → 8 | 40 → 40 |" in soaked.report()
    )


@pytest.mark.parametrize("upper", [5.0 * MB, math.inf, math.nan])
def test_growth_that_cannot_be_excluded_fails_an_hour(soaked: Soaked, upper: float) -> None:
    grown = replace(soaked, slopes={"stt": replace(FLAT, upper=upper)})
    assert "the limit is 5" in grown.problems()[0]


def test_a_short_run_is_not_judged_by_its_slope(soaked: Soaked) -> None:
    short = replace(soaked, minutes=15, slopes={"stt": replace(FLAT, upper=math.inf)})
    assert short.problems() == []
    assert "-2.0 to unknown" in short.report()
    assert "too wide to judge" in short.report()


@pytest.mark.parametrize(
    ("after", "problem"),
    [
        (replace(REST, tasks=23), "stt has 23 tasks at rest, 20 before the load"),
        (replace(REST, descriptors=46), "stt has 46 descriptors"),
        (replace(REST, threads=80), "stt has 80 threads"),
        (replace(REST, tasks=None), "stt has None tasks"),
    ],
)
def test_what_remains_after_the_load_fails(soaked: Soaked, after: Vitals, problem: str) -> None:
    (found,) = replace(soaked, minutes=1, after={"stt": after}).problems()
    assert found.startswith(problem)


def test_a_service_that_is_gone_fails(soaked: Soaked) -> None:
    assert replace(soaked, after={}).problems() == ["stt does not run"]


def test_a_mesh_that_answers_nobody_fails(soaked: Soaked) -> None:
    assert replace(soaked, outcomes=Outcomes()).problems() == ["no spoken question was answered"]


async def test_a_failure_is_explained_by_a_fault_shortly_before() -> None:
    outcomes = Outcomes()
    outcomes.fail("REST question", "503")
    outcomes.last_fault_s = float("inf")
    outcomes.fail("REST question", "503")
    assert outcomes.unexplained == ["REST question: 503"]
    assert outcomes.counts["REST question failed"] == 2
