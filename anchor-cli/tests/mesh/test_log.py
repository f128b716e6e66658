"""The combined log: parsing, file and display."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from anchor_cli.console import render_log_line
from anchor_cli.mesh.log import MAX_LINE_BYTES, LogLine, MeshLog, parse_line


def written(level: str, service: str = "stt-service", **fields: object) -> str:
    return json.dumps({"time": "t", "level": level, "service": service, "logger": "l", "message": "did it", **fields})


@pytest.fixture
def shown() -> list[LogLine]:
    return []


@pytest.fixture
def log(tmp_path: Path, shown: list[LogLine]) -> Iterator[MeshLog]:
    log = MeshLog(tmp_path / "mesh.log", shown.append)
    yield log
    log.close()


def test_output_in_any_chunks_reaches_the_file(log: MeshLog) -> None:
    text = f"{written('info')}\nTraceback (most recent call last):\n{written('error')}\nénd"
    raw = text.encode()
    for start in range(0, len(raw), 7):
        log.write_output(raw[start : start + 7])
    log.close()
    assert log.path.read_text("utf-8") == text + "\n"


def test_only_warnings_and_errors_are_shown(log: MeshLog, shown: list[LogLine]) -> None:
    log.write_output(f"{written('info')}\n{written('warning', code='stt.slow')}\nplain\n".encode())
    log.write_output(b"2026-11-21 00:53:12,051 WARN exited: tts (exit status 1; not expected)\n")
    log.write_output(b"2026-11-21 00:53:12,052 WARN received SIGTERM indicating exit request\n")
    assert [line.message for line in shown] == ["did it", "exited: tts (exit status 1; not expected)"]
    assert render_log_line(shown[0]).plain == "warning stt-service did it code=stt.slow"


def test_last_lines_are_of_one_service(log: MeshLog) -> None:
    for number in range(5):
        log.write_output(f"{written('info', n=number)}\n{written('info', 'tts-service')}\n".encode())
    log.write_output(b"ModuleNotFoundError: No module named 'x'\n")
    assert log.last_lines("stt", 2) == [written("info", n=4), "ModuleNotFoundError: No module named 'x'"]


def test_endless_line_is_split(log: MeshLog) -> None:
    log.write_output(b"x" * (MAX_LINE_BYTES + 1))
    log.write_output(b"y\n")
    log.close()
    assert [len(line) for line in log.path.read_text().splitlines()] == [MAX_LINE_BYTES + 1, 1]


@pytest.mark.parametrize("text", ["{not json", "", "WARN unknown format"])
def test_line_of_unknown_format_keeps_its_text(text: str) -> None:
    assert parse_line(text) == LogLine(text)
