"""Commands and servers of the steps: real processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from anchor_cli.verification.processes import project_environment, run_command, run_json, running_server
from free_ports import find_free_port
from service_kit.errors import EngineFailed, PeerFailed

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


async def test_output_is_returned_and_messages_are_logged(tmp_path: Path) -> None:
    log = tmp_path / "logs/log"
    program = python("import sys; print('{\"a\": 1}'); print('loading', file=sys.stderr)")
    assert await run_json(program, log, timeout_s=30, env={}) == {"a": 1}
    assert log.read_text("utf-8") == "loading\n"


@pytest.mark.parametrize("printed", ["", "no figures", "[1"])
async def test_a_command_without_figures_is_an_error(printed: str, tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match="printed no figures"):
        await run_json(python(f"print({printed!r})"), tmp_path / "log", timeout_s=30, env={})


async def test_a_failing_command_has_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match="out of memory"):
        await run_command(python("raise SystemExit('out of memory')"), tmp_path / "log", timeout_s=30)
    with pytest.raises(EngineFailed, match="cannot start"):
        await run_command(["/nonexistent/python"], tmp_path / "log", timeout_s=30)


async def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match=r"took more than 0\.2 s"):
        await run_command(python("import time; time.sleep(60)"), tmp_path / "log", timeout_s=0.2)


async def test_a_server_runs_until_it_is_left(tmp_path: Path) -> None:
    port = find_free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    async with running_server(command, tmp_path / "log", f"http://127.0.0.1:{port}/", timeout_s=30):
        pass
    assert '"GET / HTTP/1.1" 200' in (tmp_path / "log").read_text("utf-8")


async def test_a_server_that_ends_or_never_answers_is_an_error(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{find_free_port()}/"
    with pytest.raises(PeerFailed, match="no weights"):
        async with running_server(python("raise SystemExit('no weights')"), tmp_path / "log", url, timeout_s=30):
            pass
    with pytest.raises(PeerFailed, match=r"not ready within 0\.3 s"):
        async with running_server(python("import time; time.sleep(60)"), tmp_path / "log", url, timeout_s=0.3):
            pass


def test_the_path_has_the_projects_packages(tmp_path: Path) -> None:
    (tmp_path / "tts-service/espeak-worker/src").mkdir(parents=True)
    (tmp_path / "tts-service/src").mkdir(parents=True)
    path = project_environment(tmp_path, {"A": "b"})["PYTHONPATH"].split(":")
    assert path[0] == str(tmp_path / "tools/bench")
    assert str(tmp_path / "tts-service/espeak-worker/src") in path
    assert str(tmp_path / "proto/gen/python") in path
