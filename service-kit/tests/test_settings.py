"""Secrets in files: `NAME_FILE` names the file of the secret `NAME`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict, SettingsError
from service_kit import settings as kit_settings
from service_kit.setting_problems import setting_problems_line
from service_kit.settings import MAX_SECRET_BYTES, EnvironmentSettings, shared

SECRET = "hush-käse-hush"  # noqa: S105


class VaultSettings(EnvironmentSettings):
    model_config = SettingsConfigDict(env_prefix="VAULT_", env_ignore_empty=True)

    code: SecretStr = SecretStr("")
    door: SecretStr | None = Field(default=None, validation_alias=shared("DOOR", "GATE"))
    colour: str = "grey"


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "code"
    path.write_text(f"{SECRET}\n")
    path.chmod(0o600)
    return path


def problem(monkeypatch: pytest.MonkeyPatch, path: Path, variable: str = "VAULT_CODE_FILE") -> str:
    """The line about a file that cannot be used, after its variable."""
    monkeypatch.setenv(variable, str(path))
    with pytest.raises(SettingsError) as refused:
        VaultSettings()
    line = setting_problems_line(refused.value)
    assert "hush" not in line + str(refused.value)
    name, _, reason = line.partition(": ")
    assert name == variable
    return reason


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_is_read_from_its_file_without_the_end_of_its_line(
    monkeypatch: pytest.MonkeyPatch, secret_file: Path, end: str
) -> None:
    secret_file.write_bytes(f" {SECRET} {end}".encode())
    monkeypatch.setenv("VAULT_CODE_FILE", str(secret_file))
    assert VaultSettings().code.get_secret_value() == f" {SECRET} "


def test_the_file_of_a_setting_with_two_names_has_the_first(monkeypatch: pytest.MonkeyPatch, secret_file: Path) -> None:
    monkeypatch.setenv("GATE_FILE", "/nowhere")
    monkeypatch.setenv("DOOR_FILE", str(secret_file))
    settings = VaultSettings()
    assert settings.door is not None
    assert settings.door.get_secret_value() == SECRET
    assert VaultSettings(DOOR="of the caller").door == SecretStr("of the caller")


def test_only_secrets_are_read_from_files(monkeypatch: pytest.MonkeyPatch, secret_file: Path) -> None:
    monkeypatch.setenv("VAULT_COLOUR_FILE", str(secret_file))
    monkeypatch.setenv("VAULT_CODE_FILE", "")
    assert VaultSettings().colour == "grey"
    assert VaultSettings().code.get_secret_value() == ""


@pytest.mark.parametrize("name", ["DOOR", "GATE"])
def test_a_secret_and_its_file_together_are_refused(
    monkeypatch: pytest.MonkeyPatch, secret_file: Path, name: str
) -> None:
    monkeypatch.setenv(name, "hush too")
    assert problem(monkeypatch, secret_file, "DOOR_FILE") == f"{name} is set too; set one of them"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"hush\nhush\n", "more than one line"),
        (b"hush\0", "cannot be printed"),
        (b"hush\xff", "is not UTF-8"),
        (b"h" * (MAX_SECRET_BYTES + 1), f"more than {MAX_SECRET_BYTES} bytes"),
    ],
)
def test_a_file_without_a_secret_is_refused_unquoted(
    monkeypatch: pytest.MonkeyPatch, secret_file: Path, content: bytes, reason: str
) -> None:
    secret_file.write_bytes(content)
    assert reason in problem(monkeypatch, secret_file)


def test_what_is_no_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "No such file" in problem(monkeypatch, tmp_path / "missing")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        assert problem(monkeypatch, path) == f"{path} is not a regular file"


def test_a_file_that_every_user_can_read_is_refused_unless_mounted(
    monkeypatch: pytest.MonkeyPatch, secret_file: Path, tmp_path: Path
) -> None:
    secret_file.chmod(0o644)
    assert f"chmod o= {secret_file}" in problem(monkeypatch, secret_file)
    link = tmp_path / "link"
    link.symlink_to(secret_file)
    assert "every user of this machine can read" in problem(monkeypatch, link)
    secret_file.chmod(0o640)
    assert VaultSettings().code.get_secret_value() == SECRET
    secret_file.chmod(0o444)
    monkeypatch.setattr(kit_settings, "_MOUNTED_SECRETS", tmp_path)
    assert VaultSettings().code.get_secret_value() == SECRET
