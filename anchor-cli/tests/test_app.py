"""Options and exit codes of the commands."""

from __future__ import annotations

from anchor_cli.app import app
from typer.testing import CliRunner


def test_invalid_setting_is_named_and_exits_2() -> None:
    result = CliRunner().invoke(app, ["up"], env={"STT_GRPC_PORT": "99999", "COLUMNS": "200"})
    assert result.exit_code == 2
    assert "stt_grpc_port" in result.output


def test_unknown_profile_is_named_and_exits_2() -> None:
    result = CliRunner().invoke(app, ["up", "--profile", "quantum"], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "embedded" in result.output


def test_missing_models_lock_exits_1(tmp_path) -> None:
    environment = {"ANCHOR_MODELS_LOCK": str(tmp_path / "none.lock"), "ANCHOR_MODELS_DIR": str(tmp_path)}
    result = CliRunner().invoke(app, ["models"], env=environment)
    assert result.exit_code == 1
    assert "models.no_lock" in result.output
