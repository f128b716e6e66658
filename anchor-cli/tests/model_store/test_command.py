"""The pull command."""

from __future__ import annotations

from pathlib import Path

from anchor_cli.app import app
from anchor_cli.model_store.pull import ModelStore
from hub_double import Hub
from typer.testing import CliRunner


def environment(store: ModelStore, hub: Hub) -> dict[str, str]:
    return {
        "ANCHOR_MODELS_LOCK": str(store.lock),
        "ANCHOR_MODELS_DIR": str(store.folder),
        "ANCHOR_MODELS_HUB_URL": hub.url,
        "ANCHOR_MODELS_HUB_TOKEN": "secret",
        "NO_PROXY": "127.0.0.1",
        "COLUMNS": "200",
    }


def test_command_pulls_from_the_configured_mirror(store: ModelStore, hub: Hub) -> None:
    result = CliRunner().invoke(app, ["pull", "tiny"], env=environment(store, hub))
    assert (result.exit_code, hub.tokens[0]) == (0, "Bearer secret"), result.output
    assert "tiny/model.safetensors: verified, 1.0 MB (MIT)" in result.output


def test_command_prints_the_reason_for_a_failure(store: ModelStore, hub: Hub) -> None:
    hub.statuses = [404]
    result = CliRunner().invoke(app, ["pull", "tiny"], env=environment(store, hub))
    assert result.exit_code == 1
    assert "models.not_fetched" in result.output


def test_project_lock_rejects_models_of_unknown_hash(tmp_path: Path) -> None:
    lock = Path(__file__).parents[3] / "models.lock"
    result = CliRunner().invoke(
        app,
        ["pull", "voxtral-mini-3b"],
        env={"ANCHOR_MODELS_LOCK": str(lock), "ANCHOR_MODELS_DIR": str(tmp_path), "COLUMNS": "200"},
    )
    assert result.exit_code == 1
    assert "models.unknown_hash" in result.output
