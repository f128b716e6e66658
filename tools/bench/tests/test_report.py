"""From measurements to rows and tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from footprint import Footprint
from load_result import LoadResult
from report import (
    BEGIN,
    CLIENT,
    END,
    LAUNCHER,
    PLAIN_GRPC,
    Row,
    Spread,
    levels_table,
    make_row,
    max_sessions,
    replace_figures,
)


def level(sessions: int, wait_ms: float, *failures: str) -> Row:
    """A run of a minute in which all answers took the same time."""
    result = LoadResult(waits_ms=[wait_ms] * 4, failures=list(failures), frames=1000, late_frames=20)
    footprint = Footprint(
        seconds=60,
        cpu_s={"stt": 1.0 * sessions, "vad": 0.5 * sessions, CLIENT: 6.0, LAUNCHER: 3.0},
        rss_bytes={"stt": 80 << 20, "vad": 90 << 20, CLIENT: 50 << 20, LAUNCHER: 40 << 20},
        others_share=0.25,
        stolen_share=0.05,
        busy_share={0: 0.5, 1: 0.1},
    )
    return make_row("level", sessions, 510.0, result, footprint)


def test_overhead_is_the_wait_beyond_the_model_delays():
    assert level(2, 521.5).overhead_ms == Spread(p50=11.5, p95=11.5, count=4)


def test_the_95th_percentile_counts_the_slowest():
    assert Spread.of([float(value) for value in range(101)]) == Spread(50.0, 95.0, 101)


def test_processor_time_counts_services_per_session_minute():
    few, many = level(2, 520), level(10, 520)
    assert few.cpu_s_per_session_minute == many.cpu_s_per_session_minute == {"stt": 1.0, "vad": 0.5}
    assert many.cpu_s == 1.5
    assert many.client_share == 0.1
    assert many.rss_mib == {"stt": 80, "vad": 90}


def test_a_client_that_sends_late_is_reported():
    late = level(2, 520)
    assert late.late_share == 0.02
    assert "2.0% (too slow)" in levels_table([late], late)


def test_sessions_hold_below_the_level_that_adds_100_ms():
    base = level(2, 520)
    assert max_sessions([base, level(20, 619), level(40, 621), level(60, 530)], base) == 20


def test_a_level_with_failures_does_not_hold():
    base = level(2, 520)
    assert max_sessions([base, level(5, 520), level(10, 520, "not interrupted")], base) == 5


def test_a_level_without_answers_does_not_hold():
    base = level(2, 520)
    silent = make_row("level", 80, 510.0, LoadResult(), empty_footprint())
    assert max_sessions([base, silent], base) == 2
    assert "| 80 | – |" in levels_table([base, silent], base)


def empty_footprint() -> Footprint:
    return Footprint(60, {CLIENT: 0.0, LAUNCHER: 0.0}, {CLIENT: 0, LAUNCHER: 0}, 0.0, 0.0, {})


def test_a_level_on_plain_grpc_has_a_row_after_the_multiplexed_one():
    few, many = level(2, 520), level(10, 530)
    plain = [replace(row, series=PLAIN_GRPC) for row in (few, many)]
    rows = levels_table([few, many, *plain], few).splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| 2", "| 2, plain gRPC", "| 10", "| 10, plain gRPC"]


def test_new_figures_replace_the_old_ones_and_nothing_else(tmp_path: Path):
    page = tmp_path / "latency.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", "utf-8")
    replace_figures(page, "new")
    replace_figures(page, "newest")
    assert page.read_text("utf-8") == f"before\n{BEGIN}\n\nnewest\n\n{END}\nafter\n"


def test_a_page_without_marks_is_left_unchanged(tmp_path: Path):
    page = tmp_path / "latency.md"
    page.write_text(f"before {BEGIN} and no end", "utf-8")
    with pytest.raises(ValueError, match="no place"):
        replace_figures(page, "new")
    assert page.read_text("utf-8") == f"before {BEGIN} and no end"
