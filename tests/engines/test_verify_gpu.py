"""`anchor verify-gpu` runs whole on a processor: tiny models, the services as processes, and the same step code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import wave
from pathlib import Path
from typing import Any

import higgs_weights
import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from tts_service.engines.higgs.model.loading import load_codec
from voice_check.sound import level_dbfs, likeness, log_mel_distance, longest_silence_s
from voice_check.tensors import compare_tensors

PROJECT = Path(__file__).parents[2]
# The command's own environment has no torch: only the voice's part runs in this one.
ANCHOR = PROJECT / ".venv/bin/anchor"
STEPS = ["machine", "files", "voice", "language-model", "recognition", "round-trip", "together", "memory", "report"]

needs_anchor = pytest.mark.skipif(not ANCHOR.exists(), reason="no .venv: `make setup` makes it")
RATE_HZ = 24_000


def verify(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GPU_PYTHON": sys.executable, "ANCHOR_RUN_DIR": str(folder)}
    return subprocess.run(
        [ANCHOR, "verify-gpu", *options], cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=500
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def rehearsed(folder: Path) -> dict[str, Any]:
    done = verify(folder, "--tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "verify-gpu-tiny.json").read_text("utf-8"))


@needs_anchor
def test_every_step_passes(rehearsed: dict[str, Any]) -> None:
    assert rehearsed["passed"]
    assert rehearsed["rehearsal"]
    assert [(step["step"], step["verdict"]) for step in rehearsed["steps"]] == [(step, "PASS") for step in STEPS]


@needs_anchor
def test_graph_and_library_are_compared_and_agree(rehearsed: dict[str, Any]) -> None:
    voice = rehearsed["steps"][2]["figures"]
    assert voice["greedy_rows"] == 60
    assert voice["graph_equals_eager"]
    # In fp32, the step and the library's differ by rounding alone.
    assert 0 < voice["logit_error"] < 1e-4
    assert all(sentence["streamed_error"] < 1e-3 for sentence in voice["sentences"])
    assert {speed["weights"] for speed in voice["speed"]} == {"fp32", "int8"}


@needs_anchor
def test_sound_is_kept_for_a_listener(rehearsed: dict[str, Any], folder: Path) -> None:
    files = {path.name for path in (folder / "verify-tiny").glob("*.wav")}
    seeds = {f"learned-seed-{seed}.wav" for seed in (1, 2, 3)}
    assert files >= seeds | {"default-1.wav", "default-2.wav", "numbers.wav", "german.wav", "reply.wav"}
    with wave.open(str(folder / "verify-tiny/numbers.wav")) as sound:
        assert sound.getframerate() == 24_000
        assert sound.getnframes() > 0


@needs_anchor
def test_lock_rows_name_every_file(rehearsed: dict[str, Any]) -> None:
    rows = tomllib.loads(rehearsed["lock_rows"])["model"]
    assert [row["name"] for row in rows] == ["higgs-audio-v2", "higgs-audio-v2-tokenizer"]
    assert all(len(row["revision"]) == 40 for row in rows)
    assert all(len(file["sha256"]) == 64 and file["size_bytes"] > 0 for row in rows for file in row["files"])


@needs_anchor
def test_the_report_ends_with_the_question_to_the_listener(rehearsed: dict[str, Any], folder: Path) -> None:
    page = (folder / "verify-gpu-tiny.md").read_text("utf-8")
    assert "rehearsal" in page.splitlines()[0]
    assert page.rstrip().endswith("/*.wav: is it one voice, the same in all?")


@needs_anchor
def test_a_second_run_repeats_only_the_report(rehearsed: dict[str, Any], folder: Path) -> None:
    done = verify(folder, "--tiny")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("passed before") == len(STEPS) - 1


@needs_anchor
def test_without_a_gpu_it_says_so_in_one_line(folder: Path) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a GPU")
    done = verify(folder)
    assert done.returncode == 2
    (line,) = done.stdout.strip().splitlines()
    assert line.startswith("verify-gpu needs an NVIDIA GPU: no GPU found")
    assert "--tiny" in line


def tone(seconds: float, hz: float = 440, loudness: float = 0.1) -> np.ndarray:
    return (loudness * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def test_level_and_silence_of_a_sound() -> None:
    assert level_dbfs(tone(1)) == pytest.approx(-23.01, abs=0.01)
    gap = np.concatenate([tone(0.5), np.zeros(RATE_HZ * 6 // 5, np.float32), tone(0.5)])
    assert longest_silence_s(gap, RATE_HZ) == pytest.approx(1.2, abs=0.03)
    assert longest_silence_s(tone(1), RATE_HZ) == 0


def test_spectra_of_other_sounds_are_far_apart() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, RATE_HZ).astype(np.float32)
    assert log_mel_distance(tone(1), tone(1), RATE_HZ) == 0
    assert log_mel_distance(tone(1), tone(1, loudness=0.11), RATE_HZ) < 0.1
    assert log_mel_distance(tone(1), noise, RATE_HZ) > 2


def test_a_sound_is_most_like_itself(tmp_path: Path) -> None:
    higgs_weights.write_codec(tmp_path)
    codec = load_codec(tmp_path)
    noise = np.random.default_rng(1).normal(0, 0.1, RATE_HZ).astype(np.float32)
    assert likeness(tone(1), tone(1), codec) == pytest.approx(1, abs=1e-5)
    assert likeness(tone(1), noise, codec) < 0.999


def test_missing_unexpected_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    higgs_weights.write_model(tmp_path)
    assert compare_tensors(tmp_path) == {"missing": [], "unexpected": [], "misshapen": []}
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    # The authors' older name of the head, which the engine takes too.
    weights["audio_decoder_proj.audio_lm_head.weight"] = weights.pop("audio_lm_head.weight")
    save_file(weights, path)
    assert compare_tensors(tmp_path) == {"missing": [], "unexpected": [], "misshapen": []}
    norm = weights.pop("model.norm.weight")
    weights |= {"model.other.weight": norm.clone(), "model.layers.0.self_attn.q_proj.weight": norm.clone()}
    save_file(weights, path)
    assert compare_tensors(tmp_path) == {
        "missing": ["model.norm.weight"],
        "unexpected": ["model.other.weight"],
        "misshapen": ["model.layers.0.self_attn.q_proj.weight"],
    }
