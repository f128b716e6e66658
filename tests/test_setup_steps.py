"""The steps of the set-up say what they do, how long it takes, and why they fail."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
STEP = PROJECT / "tools/step.sh"


def run_step(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [STEP, "doing it", *command],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **environment},
    )


def test_step_is_named_first_and_its_time_is_told() -> None:
    done = run_step("sh", "-c", "echo noise; echo more noise >&2")
    assert done.returncode == 0
    first, last = done.stdout.splitlines()
    assert first == "doing it ..."
    assert re.fullmatch(r"doing it: done in \d s", last)


def test_long_step_reports_its_progress() -> None:
    done = run_step("sleep", "2.5", ANCHOR_STEP_EVERY_S="1")
    reported = [re.fullmatch(r"  doing it: (\d) s so far", line) for line in done.stdout.splitlines()[1:-1]]
    assert len(reported) >= 2
    assert all(reported)


def test_failed_step_shows_its_output_and_keeps_its_status() -> None:
    done = run_step("sh", "-c", "echo the reason; echo the cause >&2; exit 7")
    assert done.returncode == 7
    assert done.stdout.splitlines()[-2:] == ["the reason", "the cause"]
    assert "failed with exit status 7" in done.stdout


def test_terminal_shows_one_line() -> None:
    main, terminal = pty.openpty()
    with subprocess.Popen([STEP, "doing it", "sleep", "0.5"], stdout=terminal) as process:
        assert process.wait(30) == 0
    os.close(terminal)
    shown = os.read(main, 10_000).decode()
    os.close(main)
    assert shown.count("\n") == 1
    assert shown.startswith("doing it ...")


def test_interrupted_step_ends_its_command(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    command = [STEP, "doing it", "sh", "-c", f"echo $$ > {pid_file}; exec sleep 60"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        until_s = time.monotonic() + 20
        while not (pid_file.exists() and pid_file.read_text().strip()):
            assert time.monotonic() < until_s
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_every_long_step_of_run_is_named() -> None:
    recipes = (PROJECT / "Makefile").read_text("utf-8").splitlines()
    slow = [line for line in recipes if re.match(r"\t@?\$\((PIP|NPM)\)", line)]
    # What a developer calls shows its own output; what `make run` needs goes through a step.
    assert not [line for line in slow if " install" in line or " ci" in line or " build" in line]
