"""The page of GPU results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gpu.data_sheets import data_sheet
from gpu.report import as_json, floors_table, memory_table, page_text, read_sentence
from gpu.results import BenchResult, FinalTimes, MemoryPart, SpeechTimes, StepProfile, StepTimes
from report import BEGIN, END

PAGE = (Path(__file__).parents[3] / "docs/gpu-performance.md").read_text("utf-8")


@pytest.fixture
def measured() -> BenchResult:
    return BenchResult(
        device="NVIDIA H200, driver 580",
        data_sheet=data_sheet("NVIDIA H200"),
        context_tokens=1536,
        clocks={"bandwidth": "580, P0, 1980 MHz"},
        copy_gb_s=4000.0,
        steps=[StepTimes("bf16", 1, 3.0, 2.5, 12.0, 4_000_000_000)],
        speech=[SpeechTimes("bf16", 1, 3, 80.0, 95.0, 0.09)],
        steps_to_first_audio=20,
        memory=[MemoryPart("weights and codec", 10 * 2**30, 11 * 2**30)],
        finals=[FinalTimes(3.0, 1, 5, 140.0, 155.0, 20.0)],
        notes=["The language model is not measured."],
        failures={"Voxtral": "RuntimeError: it did not come up"},
    )


def test_the_table_shows_a_step_beside_its_floor(measured: BenchResult) -> None:
    # 4 GB at the measured 4000 GB/s take 1.00 ms, a third of the step; at the data sheet's 4800 the ratio is 3.6.
    assert "| bf16 | 1 | 3.00 | 2.50 | 12.00 | 1.00 | 3.00 | 3.60 | 0.075 |" in page_text(measured, "today")


def test_first_audio_is_projected_to_the_target_card(measured: BenchResult) -> None:
    # A fifth of the bandwidth: twenty steps longer by four floors, or everything five times as long.
    assert "| bf16 | 1 | 80 | 95 | 0.090 | 160 to 400 |" in page_text(measured, "today")


def test_an_unknown_card_has_no_projection(measured: BenchResult) -> None:
    measured.data_sheet = None
    text = page_text(measured, "today")
    assert "| bf16 | 1 | 80 | 95 | 0.090 | – |" in text
    assert "data sheet is not listed" in text


def test_steps_are_shown_without_a_measured_bandwidth(measured: BenchResult) -> None:
    measured.copy_gb_s = 0.0
    assert "| bf16 | 1 | 3.00 | 2.50 | 12.00 | – | – | 3.60 | 0.075 |" in page_text(measured, "today")
    assert as_json(measured)["steps"][0]["floor_ms"] is None


def test_a_failed_part_is_reported_beside_the_other_results(measured: BenchResult) -> None:
    text = page_text(measured, "today")
    assert "**Voxtral failed**: RuntimeError: it did not come up" in text
    assert "| 3 | 1 | 140 | 155 | 20 |" in text


def test_time_without_a_kernel_counts_as_waiting(measured: BenchResult) -> None:
    measured.profile = StepProfile(1, 5.0, 3.5, (("gemv", 2.0, 140.0),))
    text = page_text(measured, "today")
    assert "5.00, of which 3.50 in kernels and 1.50 in which the card waits" in text
    assert "| `gemv` | 2.000 | 140 |" in text


def test_a_plan_above_the_measured_memory_has_a_positive_error() -> None:
    assert memory_table([MemoryPart("weights", 10 * 2**30, 11 * 2**30)]).endswith(
        "| weights | 10.00 | 11.00 | +10.0% |"
    )
    assert MemoryPart("nothing", 0, 5).error == 0


def test_the_json_holds_all_results(measured: BenchResult) -> None:
    found = json.loads(json.dumps(as_json(measured)))
    assert found["device"] == "NVIDIA H200, driver 580"
    assert found["steps"][0]["floor_ms"] == pytest.approx(1.0)
    assert found["failures"] == {"Voxtral": "RuntimeError: it did not come up"}


def test_the_page_shows_the_computed_floors() -> None:
    assert floors_table(1536) in PAGE
    assert read_sentence(1536) in " ".join(PAGE.split())


def test_the_page_has_the_marks_for_figures() -> None:
    assert PAGE.index(BEGIN) < PAGE.index(END)
