"""Options and exit codes of the commands."""

from __future__ import annotations

import socket
from pathlib import Path

from anchor_cli.app import app
from anchor_cli.mesh.mesh import mesh_lock
from typer.testing import CliRunner


def test_invalid_setting_is_named_and_exits_2() -> None:
    result = CliRunner().invoke(app, ["up"], env={"STT_GRPC_PORT": "99999", "COLUMNS": "200"})
    assert result.exit_code == 2
    assert "stt_grpc_port" in result.output


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


def test_missing_models_lock_exits_1(tmp_path) -> None:
    environment = {"ANCHOR_MODELS_LOCK": str(tmp_path / "none.lock"), "ANCHOR_MODELS_DIR": str(tmp_path)}
    result = CliRunner().invoke(app, ["models"], env=environment)
    assert result.exit_code == 1
    assert "models.no_lock" in result.output
