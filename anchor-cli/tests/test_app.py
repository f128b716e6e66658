"""The commands as a person meets them: what is printed, how they exit."""

from __future__ import annotations

from anchor_cli.app import app
from typer.testing import CliRunner


def test_settings_that_do_not_fit_are_named_and_exit_2() -> None:
    result = CliRunner().invoke(app, ["up"], env={"STT_GRPC_PORT": "99999", "COLUMNS": "200"})
    assert result.exit_code == 2
    assert "stt_grpc_port" in result.output


def test_an_unknown_profile_is_named_and_exits_2() -> None:
    result = CliRunner().invoke(app, ["up", "--profile", "quantum"], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "embedded" in result.output


def test_a_lock_of_models_that_is_not_there_exits_1(tmp_path) -> None:
    environment = {"ANCHOR_MODELS_LOCK": str(tmp_path / "none.lock"), "ANCHOR_MODELS_DIR": str(tmp_path)}
    result = CliRunner().invoke(app, ["models"], env=environment)
    assert result.exit_code == 1
    assert "models.no_lock" in result.output
