"""The file .env: only the lines that are meant change, and what cannot be read is named."""

from __future__ import annotations

import os
from io import StringIO
from pathlib import Path

import pytest
from anchor_cli.app import app
from anchor_cli.dotenv_file import load_env_file, read_value, set_variable
from dotenv import dotenv_values
from service_kit.errors import InvalidRequest
from typer.testing import CliRunner

BESIDE = 'X="one\nA=two\nthree"\nY=a\u2028A=b\x0cA=c\n'


def values(text: str) -> dict[str, str | None]:
    return dict(dotenv_values(stream=StringIO(text), interpolate=False))


def test_a_line_within_another_value_is_no_setting() -> None:
    changed = set_variable(f"{BESIDE}A=1\n# A=5\nA=2\n", "A", "3")
    assert changed == f"{BESIDE}A=3\n# A=5\n"
    assert values(changed) == {**values(BESIDE), "A": "3"}
    assert set_variable(BESIDE, "A", "3") == f"{BESIDE}A=3\n"


def test_the_value_is_that_of_the_last_line_with_all_its_lines() -> None:
    assert read_value("A=1\nexport A='2\n3'\nB=\n", "A") == "2\n3"
    assert read_value("A=1\nB=\n", "B") == ""
    assert read_value("#A=1\nA\n", "A") is None


@pytest.mark.parametrize("text", ['X="open\n', "two words\n"])
def test_a_file_with_a_broken_line_is_not_changed(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"\.env, line 2: this is no NAME=value"):
        set_variable(f"A=1\n{text}", "A", "2")


def test_variables_of_the_shell_take_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUZZ_A", "shell")
    monkeypatch.delenv("FUZZ_B", raising=False)
    (tmp_path / ".env").write_text("FUZZ_A=file\nFUZZ_B=${FUZZ_A}!\n", "utf-8")
    load_env_file(tmp_path / ".env")
    assert (os.environ["FUZZ_A"], os.environ.pop("FUZZ_B")) == ("shell", "shell!")
    load_env_file(tmp_path / "missing")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"A=1\nB=\xff\n", "line 2: the text is not UTF-8"),
        (b"FUZZ_C=a\0b\n", "a name or a value that no variable can have"),
        (b"'FUZZ=D'=a\n", "a name or a value that no variable can have"),
    ],
)
@pytest.mark.parametrize("command", [["doctor"], ["pull", "x"], ["verify-gpu", "--tiny"]])
def test_a_file_that_cannot_be_used_ends_the_command_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, complaint: str, command: list[str]
) -> None:
    (tmp_path / ".env").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANCHOR_ROOT", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    refused = CliRunner().invoke(app, command)
    assert (refused.exit_code, complaint in refused.output) == (1, True), refused.output
    assert "settings.env_file" in refused.output


def test_a_name_without_a_value_is_replaced_like_one_with_it() -> None:
    text = "NAME=1\nOTHER=2\nNAME\n"
    assert read_value(text, "NAME") is None
    assert set_variable(text, "NAME", "3") == "NAME=3\nOTHER=2\n"
    assert read_value(set_variable("NAME\n", "NAME", "3"), "NAME") == "3"
