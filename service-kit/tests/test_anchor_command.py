"""The command that messages name is one that can be typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from service_kit.anchor_command import anchor_command


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / ".venv/bin"
    folder.mkdir(parents=True)
    (folder / "anchor").write_text("#!/bin/sh\n")
    (folder / "anchor").chmod(0o755)
    monkeypatch.setattr("sys.executable", str(folder / "python"))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path)
    return folder


def test_the_path_of_the_environment_that_is_not_active(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert anchor_command("pull kokoro") == ".venv/bin/anchor pull kokoro"
    monkeypatch.chdir("/usr")
    assert anchor_command("models") == f"{installed}/anchor models"


def test_the_name_in_an_active_environment(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(installed))
    assert anchor_command("models") == "anchor models"


def test_another_program_of_the_name_is_not_meant(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = installed.parent / "anchor"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(installed.parent))
    assert anchor_command("models") == ".venv/bin/anchor models"


def test_the_name_where_it_is_not_installed(installed: Path) -> None:
    (installed / "anchor").unlink()
    assert anchor_command("models") == "anchor models"
