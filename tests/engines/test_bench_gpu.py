"""The GPU's benchmark runs whole on a processor with tiny weights, and says what it needs where it cannot."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from gpu.higgs_speech import steps_to_first_audio
from gpu.higgs_steps import speech_shape, weight_bytes_touched
from gpu.memory import server_share
from gpu.random_weights import TINY, language_model, quantised_model
from gpu.roofline import BYTE, HALF, weight_bytes_read
from tts_service.engines.higgs.delay import Codebooks

PROJECT = Path(__file__).parents[2]
CPU = torch.device("cpu")


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "tools/bench"), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [sys.executable, "-m", "gpu", *options],
        env=environment,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=400,
    )


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    page = (PROJECT / "docs/gpu-performance.md").read_bytes()
    done = bench("--tiny")
    assert done.returncode == 0, done.stderr
    assert (PROJECT / "docs/gpu-performance.md").read_bytes() == page
    return json.loads((PROJECT / "run/bench-gpu-tiny.json").read_text("utf-8"))


def test_every_part_runs(measured: dict[str, Any]) -> None:
    assert measured["failures"] == {}
    assert {(row["weights"], row["slots"]) for row in measured["steps"]} == {
        ("fp32", 1),
        ("fp32", 2),
        ("int8", 1),
        ("int8", 2),
    }
    assert all(row["whole_ms"] > 0 and row["eager_ms"] > 0 and row["floor_ms"] > 0 for row in measured["steps"])
    assert measured["copy_gb_s"] > 0


def test_phrases_are_heard_before_they_are_whole(measured: dict[str, Any]) -> None:
    assert len(measured["speech"]) == 4
    # Twenty frames are 0.8 s, of which the first window needs fourteen.
    assert all(0 < row["first_audio_ms"] < row["realtime_factor"] * 800 for row in measured["speech"])


def test_unsupported_weights_are_reported_and_are_no_failure(measured: dict[str, Any]) -> None:
    assert any(note.startswith("fp8 is not measured") for note in measured["notes"])
    assert any("vLLM is not installed" in note for note in measured["notes"])


def test_memory_stands_beside_the_plan(measured: dict[str, Any]) -> None:
    *parts, whole = measured["memory"]
    assert len(parts) == 3
    assert whole["planned"] == sum(part["planned"] for part in parts) > 0


def test_without_a_gpu_it_says_so_and_ends_with_status_2() -> None:
    done = bench()
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [
        "bench-gpu needs a CUDA device, and torch finds none; --tiny tests the benchmark itself"
    ]


def test_what_a_step_reads_is_what_its_floor_counts() -> None:
    lm = language_model(TINY, CPU)
    norms = (2 * 2 + 1) * 32 * 4
    assert weight_bytes_touched(lm) == 2 * weight_bytes_read(speech_shape(lm), HALF) + norms


def test_eight_bits_are_counted_as_eight_bits() -> None:
    lm, whole = quantised_model(TINY, CPU, "int8", 1), language_model(TINY, CPU)
    saved = weight_bytes_touched(whole) - weight_bytes_touched(lm)
    layers = speech_shape(lm).stack.parameters
    # Three of four bytes, less a scale for each output.
    assert layers * (4 - BYTE) * 0.85 < saved < layers * (4 - BYTE)


def test_the_first_window_needs_eight_codebooks_four_frames_and_ten_ahead() -> None:
    assert steps_to_first_audio(Codebooks(8, 1024, 1025)) == 7 + 4 + 10


def test_voxtral_gets_of_the_card_what_the_plan_gives_it() -> None:
    assert server_share(48 * 2**30) == pytest.approx(0.24, abs=0.01)
    assert server_share(141 * 2**30) == pytest.approx(0.09, abs=0.01)
    assert server_share(8 * 2**30) == 0.9
