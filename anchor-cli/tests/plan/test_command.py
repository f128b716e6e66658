"""The plan command: output, written files and exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from anchor_cli.app import app
from dotenv import dotenv_values
from typer.testing import CliRunner

WIDE = {"COLUMNS": "160"}


@pytest.fixture
def no_gpu(free_port: Callable[[], int]) -> dict[str, str]:
    """An environment without a GPU monitor and without nvidia-smi."""
    return {**WIDE, "GPU_GRPC_PORT": str(free_port()), "PATH": ""}


def test_table_shows_figures_verdict_reductions_and_settings() -> None:
    result = CliRunner().invoke(app, ["plan", "--gpu", "rtx4090"], env=WIDE)
    assert result.exit_code == 0
    for words in (
        "Voxtral Mini 3B",
        "5.72",
        "~1.58",
        "fits",
        "given up",
        "note: pocket-tts is not in the image",
        "synthesised on the CPU",
        "OLLAMA_MODEL_NAME=",
    ):
        assert words in result.output


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("card", ["rtx6000-ada", "rtx4090", "t4"])
def test_table_fits_the_terminal(columns: int, card: str) -> None:
    arguments = ["plan", "--gpu", card]
    lines = CliRunner().invoke(app, arguments, env={"COLUMNS": str(columns)}).output.splitlines()
    table = [line for line in lines if line.startswith(("┏", "┃", "│"))]
    assert max(map(len, table)) <= columns
    assert table[0].endswith("┓")
    assert "…" not in "".join(table)
    plan = json.loads(CliRunner().invoke(app, [*arguments, "--json"], env=WIDE).stdout)
    totals = [row.rstrip("│ ").rpartition("│")[2].strip() for row in table if row.startswith(("│ s", "│ t", "│ l"))]
    keys = ("weights_bytes", "kv_cache_bytes", "activations_bytes", "context_bytes")
    bytes_each = [sum(service[key] for key in keys) for service in plan["services"]]
    assert totals == [f"{taken / 2**30:.2f}" if taken else "-" for taken in bytes_each]


def test_setting_is_one_line_on_a_narrow_terminal() -> None:
    result = CliRunner().invoke(app, ["plan", "--gpu", "rtx6000-ada"], env={"COLUMNS": "80"})
    names = [line for line in result.output.splitlines() if line.startswith("  OLLAMA_MODEL_NAME=")]
    assert len(names) == 1
    assert names[0].endswith(":Q4_K_M")


def test_json_option_prints_only_json() -> None:
    result = CliRunner().invoke(app, ["plan", "--gpu", "t4", "--json"], env=WIDE)
    plan = json.loads(result.stdout)
    assert (plan["gpu"], plan["fits"]) == ("t4", True)
    assert plan["total_bytes"] <= plan["budget_bytes"]


def test_env_option_prints_a_valid_dotenv(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["plan", "--gpu", "a6000", "--env"], env=WIDE)
    path = tmp_path / ".env"
    path.write_text(result.stdout)
    assert dotenv_values(path, interpolate=False)["VOXTRAL_MAX_NUM_SEQS"] == "4"


def test_write_option_writes_settings_and_plan(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("SHARED_SECRET=abc\n")
    result = CliRunner().invoke(app, ["plan", "--gpu", "l40s", "--write", str(path)], env=WIDE)
    assert result.exit_code == 0
    written = dotenv_values(path, interpolate=False)
    assert (written["SHARED_SECRET"], written["LLM_OLLAMA_CONTEXT_TOKENS"]) == ("abc", "8192")
    assert json.loads((tmp_path / "deploy/profiles/planned.json").read_text())["gpu"] == "l40s"


def test_plan_that_does_not_fit_is_not_written_and_exits_1(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    arguments = ["plan", "--gpu", "t4", "--model", "llm=mistral-small-24b@Q8_0", "--write", str(path)]
    result = CliRunner().invoke(app, arguments, env=WIDE)
    assert result.exit_code == 1
    assert "too much" in result.output
    assert not path.exists()


def test_unsupported_precision_is_reported() -> None:
    result = CliRunner().invoke(app, ["plan", "--gpu", "t4", "--model", "tts=higgs-v2"], env=WIDE)
    assert result.exit_code == 1
    assert "does not support the precision of tts" in result.output


def test_larger_reserve_lowers_the_budget() -> None:
    result = CliRunner().invoke(app, ["plan", "--gpu", "l40s", "--reserve-gib", "8", "--json"], env=WIDE)
    assert json.loads(result.stdout)["budget_bytes"] == int((46068 / 1024 - 8.5) * 2**30)


def test_missing_gpu_prints_one_line_and_exits_1(no_gpu: dict[str, str]) -> None:
    result = CliRunner().invoke(app, ["plan"], env=no_gpu)
    assert result.exit_code == 1
    assert "no GPU found" in result.output
    assert "--gpu" in result.output


def test_invalid_settings_do_not_prevent_detection(no_gpu: dict[str, str]) -> None:
    result = CliRunner().invoke(app, ["plan"], env={**no_gpu, "GPU_GRPC_PORT": "none"})
    assert "no GPU found" in result.output


def test_memory_in_use_is_noted_on_stderr(tmp_path: Path, no_gpu: dict[str, str]) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA L40S, 46068, 2048, 8.9'\n")
    program.chmod(0o755)
    result = CliRunner().invoke(app, ["plan", "--json"], env={**no_gpu, "PATH": str(tmp_path)})
    assert "2.0 GiB are in use now" in result.stderr
    assert json.loads(result.stdout)["memory_basis"] == "measured"


def test_unknown_card_lists_the_known_ones() -> None:
    result = CliRunner().invoke(app, ["plan", "--gpu", "voodoo2"], env=WIDE)
    assert result.exit_code == 1
    assert "rtx6000-ada" in result.output
