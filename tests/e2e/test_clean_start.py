"""A clean start, a turn and a stop write no warning, and leave no process."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest
from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import open_session
from anchor_cli.client.turn import run_turn
from mesh_launcher import launch_mesh

pytestmark = pytest.mark.e2e


def loud_lines(log: Path) -> list[str]:
    """The lines of the log above the level info, and those that are no record: tracebacks, output of libraries."""
    loud: list[str] = []
    for line in log.read_text("utf-8").splitlines():
        if line.startswith("{"):
            if json.loads(line)["level"] not in {"debug", "info"}:
                loud.append(line)
        elif not re.match(r"\d{4}-\d\d-\d\d \S+ INFO ", line) and "received SIG" not in line:
            loud.append(line)
    return loud


@pytest.mark.parametrize(("models", "stop_signal"), [("minimal", signal.SIGTERM), ("default", signal.SIGINT)])
async def test_clean_start_and_stop_leave_no_warning_and_no_process(
    models: str, stop_signal: signal.Signals, questions, tmp_path: Path
) -> None:
    # A start without the console warns, and it may not be built here.
    (tmp_path / "index.html").write_text("<!doctype html><title>AI Anchor</title>")
    with launch_mesh(ANCHOR_MODELS=models, ORCHESTRATOR_WEB_DIR=str(tmp_path)) as mesh:
        async with open_session(mesh.url) as talk:
            turn = await run_turn(talk, load_clip(questions[0].path), listen_s=0.5)
        assert turn.transcript
        assert loud_lines(mesh.settings.run_folder / "mesh.log") == []
        assert len(mesh.processes()) >= 7
        assert mesh.stop(stop_signal) == 0
        assert mesh.processes() == {}
        shown = mesh.output.read_text("utf-8")
    assert "warning" not in shown.lower(), shown
    assert "no process is left" in shown


def test_warning_in_the_log_is_found(tmp_path) -> None:
    lines = ['{"level": "info"}', '{"level": "warning"}', "Traceback", "2026-01-01 10:00:00,1 INFO supervisord started"]
    (tmp_path / "mesh.log").write_text("\n".join(lines))
    assert loud_lines(tmp_path / "mesh.log") == ['{"level": "warning"}', "Traceback"]
