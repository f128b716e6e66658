"""The commands `anchor models` and `anchor pull`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from anchor_cli.app import app
from anchor_cli.model_store.command import build_store
from anchor_cli.model_store.pull import ModelStore
from anchor_cli.settings import MeshSettings
from file_store import COMPLETE
from hub_double import PINNED, UNKNOWN, Hub, placed, serving
from pydantic import SecretStr
from registry_double import Registry, wheel_name
from rich.console import Console
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


def test_token_of_the_hub_is_sent_to_no_other_source(hub: Hub) -> None:
    settings = MeshSettings(models_hub_url=hub.url, models_hub_token=SecretStr("secret"))
    store = build_store(settings, Console())
    with serving(Hub({"model.bin": b"weights"})) as other, store.client() as client:
        client.get(f"{other.url}/model.bin")
        client.get(f"{hub.url}/model.bin")
    assert (other.tokens, hub.tokens) == ([""], ["Bearer secret"])


def test_command_prints_the_reason_for_a_failure(store: ModelStore, hub: Hub) -> None:
    hub.statuses = [404]
    result = CliRunner().invoke(app, ["pull", "tiny"], env=environment(store, hub))
    assert result.exit_code == 1
    assert "models.not_fetched" in result.output


PROJECT_LOCK = Path(__file__).parents[3] / "models.lock"


@pytest.mark.parametrize("arguments", [["pull"], ["models", "--all"]])
def test_all_models_are_listed(tmp_path: Path, arguments: list[str]) -> None:
    environment = {"ANCHOR_MODELS_LOCK": str(PROJECT_LOCK), "ANCHOR_MODELS_DIR": str(tmp_path)}
    result = CliRunner().invoke(app, arguments, env={**environment, "COLUMNS": "80", "HF_TOKEN": ""})
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert "whisper-base 148 MB models.lock no" in lines
    assert "whisper-large-v3 ~3.1 GB at first pull no" in lines
    assert "csm ~7.2 GB gated at first pull no" in lines
    assert "Apache-2.0; speech on a GPU, English" in lines
    assert "higgs stands for higgs-audio-v2 and higgs-audio-v2-tokenizer" in lines
    assert any("set ANCHOR_MODELS_HUB_TOKEN" in line for line in lines)


def test_list_says_what_is_here_and_who_pinned_it(store: ModelStore, hub: Hub) -> None:
    store.lock.write_text(UNKNOWN)
    lists = partial(CliRunner().invoke, app, ["pull"], env=environment(store, hub))

    def row() -> str:
        (line,) = (line for line in lists().output.splitlines() if line.startswith("tiny "))
        return " ".join(line.split())

    assert (row(), hub.asked) == ("tiny ? at first pull no", [])
    assert CliRunner().invoke(app, ["pull", "tiny"], env=environment(store, hub)).exit_code == 0
    assert row() == "tiny 1 MB here yes"
    (store.folder / "tiny/config.json").unlink()
    assert row() == "tiny 1 MB here partly"
    store.lock.write_text(PINNED)
    assert row() == "tiny 1 MB models.lock partly"


@pytest.fixture
def file_settings(pip_store: ModelStore, big_hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCHOR_MODELS", "default")
    for name, value in environment(pip_store, big_hub).items():
        monkeypatch.setenv(name, value)


def test_models_command_names_what_is_there(file_settings: None, pip_store: ModelStore) -> None:
    result = CliRunner().invoke(app, ["models"])
    assert (result.exit_code, placed(pip_store)) == (0, COMPLETE), result.output
    assert "big: verified, 0.5 MB (MIT)" in result.output
    assert "models of the set default: small, big" in result.output


def test_models_command_goes_on_without_a_row(file_settings: None, registry: Registry) -> None:
    del registry.files[wheel_name("big-part2")]
    result = CliRunner().invoke(app, ["models"])
    assert result.exit_code == 0, result.output
    assert result.output.count("big: left out (big/model.bin: ") == 1
    assert "a smaller engine takes the place of each" in result.output


def test_models_command_fails_without_a_needed_row(file_settings: None, registry: Registry) -> None:
    del registry.files[wheel_name("small")]
    result = CliRunner().invoke(app, ["models"])
    assert result.exit_code == 1
    assert "no start without small; check the network" in result.output


def test_pull_of_a_name_fails_without_its_sources(file_settings: None, registry: Registry) -> None:
    del registry.files[wheel_name("big-part2")]
    result = CliRunner().invoke(app, ["pull", "big"])
    assert result.exit_code == 1
    assert "models.not_fetched" in result.output


def test_offline_pull_names_the_missing_files(file_settings: None, registry: Registry) -> None:
    result = CliRunner().invoke(app, ["pull", "big", "--offline"])
    assert result.exit_code == 1
    assert "missing or changed: big/model.bin, big/config.json" in result.output
    assert registry.asked == []
