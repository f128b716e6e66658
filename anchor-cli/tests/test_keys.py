"""`anchor keys` against a .env file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from anchor_cli.app import app
from click.testing import Result
from dotenv import dotenv_values
from service_kit.http.api_keys import parse_api_key, token_digest
from typer.testing import CliRunner


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANCHOR_ROOT", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / ".env"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments])


def entries(env_file: Path) -> list[str]:
    return json.loads(dotenv_values(env_file)["ORCHESTRATOR_API_KEYS"] or "")


def test_added_key_is_stored_hashed_and_shown_once(env_file: Path) -> None:
    env_file.write_text("SAMPLE_RATE=8000\n#ORCHESTRATOR_API_KEYS=[]\nX=1\n")
    added = run("add", "kitchen", "--scope", "talk", "--scope", "voices")
    assert added.exit_code == 0
    token = next(word for word in added.output.split() if word.startswith("anchor_"))
    (entry,) = entries(env_file)
    assert entry == f"kitchen:talk+voices:{token_digest(token)}"
    assert token not in env_file.read_text()
    assert dotenv_values(env_file)["SAMPLE_RATE"] == "8000"
    assert run("add", "studio").exit_code == 0
    assert [str(parse_api_key(each).name) for each in entries(env_file)] == ["kitchen", "studio"]
    listed = run("list").output
    assert "kitchen" in listed
    assert "talk, voices" in listed
    assert token_digest(token) not in listed


def test_limits_of_a_key_are_stored_and_listed(env_file: Path) -> None:
    assert run("add", "kitchen", "--max-sessions", "2", "--per-minute", "30").exit_code == 0
    assert run("add", "studio", "--per-minute", "0").exit_code == 2
    (key,) = map(parse_api_key, entries(env_file))
    assert (key.max_sessions, key.per_minute) == (2, 30)
    assert "talk, at most 2 sessions, at most 30 requests a minute" in run("list").output


def test_changes_of_keys_are_added_to_the_audit_file(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_AUDIT_FILE", "data/audit.log")
    added = run("add", "kitchen", "--scope", "data")
    run("remove", "kitchen")
    run("remove", "kitchen")
    text = (env_file.parent / "data/audit.log").read_text()
    events = [json.loads(line) for line in text.splitlines()]
    assert [(event["event"], event["key"], event["scopes"]) for event in events] == [
        ("key_added", "kitchen", ["data"]),
        ("key_removed", "kitchen", ["data"]),
    ]
    assert next(word for word in added.output.split() if word.startswith("anchor_")) not in text


def test_without_an_audit_file_to_write_the_key_is_there(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_AUDIT_FILE", str(env_file.parent))
    added = run("add", "kitchen")
    assert (added.exit_code, "was not written: " in added.output, len(entries(env_file))) == (0, True, 1)


def test_new_file_is_for_its_owner_only(env_file: Path) -> None:
    assert run("add", "kitchen").exit_code == 0
    assert env_file.stat().st_mode & 0o777 == 0o600


def test_removed_key_is_gone_and_the_others_stay(env_file: Path) -> None:
    for name in ("kitchen", "studio"):
        run("add", name)
    assert run("remove", "kitchen").exit_code == 0
    assert [parse_api_key(each).name for each in entries(env_file)] == ["studio"]
    again = run("remove", "kitchen")
    assert (again.exit_code, "keys.unknown" in again.output) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("add", "a b"), "keys.invalid"), (("add", "kitchen"), "keys.exists")],
)
def test_key_that_cannot_be_added_changes_nothing(env_file: Path, arguments: tuple[str, ...], code: str) -> None:
    run("add", "kitchen")
    before = env_file.read_text()
    refused = run(*arguments)
    assert (refused.exit_code, code in refused.output) == (1, True)
    assert env_file.read_text() == before


@pytest.mark.parametrize("value", ["kitchen", '["kitchen:talk:hush"]', "3"])
def test_unreadable_keys_are_left_as_they_are(env_file: Path, value: str) -> None:
    env_file.write_text(f"ORCHESTRATOR_API_KEYS={value}\n")
    refused = run("add", "studio")
    assert (refused.exit_code, "keys.unreadable" in refused.output) == (1, True)
    assert "hush" not in refused.output
    assert env_file.read_text() == f"ORCHESTRATOR_API_KEYS={value}\n"
