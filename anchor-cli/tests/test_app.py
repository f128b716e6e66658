"""Options and exit codes of the commands."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from anchor_cli.app import app
from anchor_cli.mesh.mesh import mesh_lock
from typer.testing import CliRunner


def test_invalid_setting_is_named_and_exits_2() -> None:
    result = CliRunner().invoke(app, ["up"], env={"STT_GRPC_PORT": "99999", "COLUMNS": "200"})
    assert result.exit_code == 2
    assert "STT_GRPC_PORT" in result.output


def test_unknown_profile_is_named_and_exits_2() -> None:
    result = CliRunner().invoke(app, ["up", "--profile", "quantum"], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "embedded" in result.output


def test_taken_port_is_named_before_anything_is_measured(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = {"STT_HTTP_PORT": str(port), "ANCHOR_RUN_DIR": str(tmp_path), "ANCHOR_ROOT": str(tmp_path)}
        result = CliRunner().invoke(app, ["up"], env=environment | {"ANCHOR_MODELS": "default", "COLUMNS": "200"})
    assert result.exit_code == 1
    assert f"port {port} is taken" in result.output
    assert "measuring" not in result.output


def test_second_mesh_of_a_folder_is_refused_at_once(tmp_path: Path) -> None:
    with mesh_lock(tmp_path):
        environment = {"ANCHOR_RUN_DIR": str(tmp_path), "ANCHOR_ROOT": str(tmp_path), "ANCHOR_MODELS": "default"}
        result = CliRunner().invoke(app, ["up"], env=environment | {"COLUMNS": "200"})
    assert result.exit_code == 1
    assert "a mesh is already running here" in result.output
    assert "measuring" not in result.output


def test_setting_of_a_service_is_checked_before_the_start(tmp_path: Path) -> None:
    own = {"ANCHOR_RUN_DIR": str(tmp_path), "SAMPLE_RATE": "banana", "TTS_FALLBACK_ENGINES": "hush", "COLUMNS": "200"}
    result = CliRunner().invoke(app, ["up"], env=own)
    assert result.exit_code == 1
    assert "SAMPLE_RATE: Input should be a valid integer" in result.output
    assert 'TTS_FALLBACK_ENGINES: a list is written as JSON: ["a", "b"]' in result.output
    assert not {"banana", "hush", "Traceback"} & set(result.output.split())
    assert len(result.output.splitlines()) <= 3


@pytest.mark.parametrize("blocked", ["run", "run/anchor.lock", "run/mesh.log", "run/supervisord.conf"])
def test_run_folder_that_cannot_be_used_is_one_line(tmp_path: Path, blocked: str, ports: dict[str, int]) -> None:
    """The run folder is a file, or a folder stands where one of its files belongs."""
    if blocked == "run":
        (tmp_path / "run").write_text("")
    else:
        (tmp_path / blocked).mkdir(parents=True)
    own = {"ANCHOR_ROOT": str(tmp_path), "ANCHOR_MODELS": "minimal", "COLUMNS": "200"}
    own |= {name.upper(): str(port) for name, port in ports.items()}
    result = CliRunner().invoke(app, ["up"], env=own)
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert line.startswith(f"failed: the run folder {tmp_path}/run cannot be used")
    assert "ANCHOR_RUN_DIR" in line


def test_run_folder_with_an_impossible_path_is_one_line(tmp_path: Path) -> None:
    own = {"ANCHOR_RUN_DIR": str(tmp_path / ("x" * 300)), "ANCHOR_MODELS": "minimal", "COLUMNS": "800"}
    result = CliRunner().invoke(app, ["up"], env=own)
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert "(File name too long)" in line


def test_missing_project_folder_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["up"], env={"ANCHOR_ROOT": str(tmp_path / "none"), "COLUMNS": "800"})
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert "ANCHOR_ROOT" in line


def test_missing_models_lock_exits_1(tmp_path) -> None:
    environment = {"ANCHOR_MODELS_LOCK": str(tmp_path / "none.lock"), "ANCHOR_MODELS_DIR": str(tmp_path)}
    result = CliRunner().invoke(app, ["models"], env=environment)
    assert result.exit_code == 1
    assert "models.no_lock" in result.output
