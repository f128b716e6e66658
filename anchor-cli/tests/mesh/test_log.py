"""The combined log: what is kept, what is shown."""

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


def test_everything_reaches_the_file_whatever_the_pieces_it_came_in(log: MeshLog) -> None:
    text = f"{written('info')}\nTraceback (most recent call last):\n{written('error')}\nénd"
    raw = text.encode()
    for start in range(0, len(raw), 7):
        log.write_output(raw[start : start + 7])
    log.close()
    assert log.path.read_text("utf-8") == text + "\n"


def test_only_what_is_urgent_is_shown(log: MeshLog, shown: list[LogLine]) -> None:
    log.write_output(f"{written('info')}\n{written('warning', code='stt.slow')}\nplain\n".encode())
    log.write_output(b"2026-11-21 00:53:12,051 WARN exited: tts (exit status 1; not expected)\n")
    log.write_output(b"2026-11-21 00:53:12,052 WARN received SIGTERM indicating exit request\n")
    assert [line.message for line in shown] == ["did it", "exited: tts (exit status 1; not expected)"]
    assert render_log_line(shown[0]).plain == "warning stt-service did it code=stt.slow"


def test_the_last_lines_of_a_service_hold_no_lines_of_others(log: MeshLog) -> None:
    for number in range(5):
        log.write_output(f"{written('info', n=number)}\n{written('info', 'tts-service')}\n".encode())
    log.write_output(b"ModuleNotFoundError: No module named 'x'\n")
    assert log.last_lines("stt", 2) == [written("info", n=4), "ModuleNotFoundError: No module named 'x'"]


def test_a_line_without_end_is_cut(log: MeshLog) -> None:
    log.write_output(b"x" * (MAX_LINE_BYTES + 1))
    log.write_output(b"y\n")
    log.close()
    assert [len(line) for line in log.path.read_text().splitlines()] == [MAX_LINE_BYTES + 1, 1]


@pytest.mark.parametrize("text", ["{not json", "", "WARN nobody's format"])
def test_a_line_in_no_known_format_is_kept_as_it_is(text: str) -> None:
    assert parse_line(text) == LogLine(text)
