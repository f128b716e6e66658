"""The process without a model, without the runtime, and with a server that stops answering."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import create_connection, create_server

import pytest
from llm_service.app import wait_while_healthy
from llm_service.settings import LlmServiceSettings

ENDS_WITHIN_S = 30


def free_port() -> int:
    with create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextmanager
def process(folder: Path, **settings: str) -> Generator[tuple[subprocess.Popen[str], int]]:
    """The process in an empty folder, and its port."""
    port = free_port()
    environment = {**os.environ, "LLM_HTTP_PORT": str(port), "ANCHOR_LOG_FORMAT": "json", **settings}
    command = [sys.executable, "-m", "llm_service"]
    running = subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield running, port
    finally:
        running.kill()
        running.communicate()


def ask_health(port: int) -> tuple[int, dict[str, str]]:
    """The answer of `/health`, as soon as there is one."""
    until_s = time.monotonic() + ENDS_WITHIN_S
    while True:
        try:
            create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert time.monotonic() < until_s, "the process does not listen"
            time.sleep(0.05)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ENDS_WITHIN_S)
    connection.request("GET", "/health")
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_missing_model_is_reported_and_sigterm_ends_the_process(tmp_path: Path) -> None:
    with process(tmp_path, LLM_LOCAL_MODEL_PATH="nothing.gguf") as (running, port):
        status, body = ask_health(port)
        assert (status, body["status"]) == (503, "failed")
        assert "models.missing" in body["reason"]
        assert running.poll() is None
        running.terminate()
        output, _ = running.communicate(timeout=ENDS_WITHIN_S)
    assert running.returncode == 0
    records = [json.loads(line) for line in output.splitlines()]
    assert [record["level"] for record in records] == ["error"]
    assert "nothing.gguf" in records[0]["reason"]


def test_model_that_the_lock_does_not_have_is_reported(tmp_path: Path) -> None:
    (tmp_path / "models.lock").write_text("model = []\n", "utf-8")
    with process(tmp_path) as (_, port):
        assert "models." in ask_health(port)[1]["reason"]


def test_missing_runtime_is_reported_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    # Stands before the installed package, if there is one.
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('not here')", "utf-8")
    with process(tmp_path, LLM_LOCAL_MODEL_PATH="model.gguf", PYTHONPATH=str(tmp_path)) as (_, port):
        reason = ask_health(port)[1]["reason"]
    assert "llm.not_installed" in reason
    assert "make run LLM=local" in reason


def test_cache_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    (tmp_path / "cache").write_bytes(b"a file")
    stand_in = "class CommonParams:\n    pass\n"
    (tmp_path / "xllamacpp.py").write_text(stand_in, "utf-8")
    settings = {"LLM_LOCAL_MODEL_PATH": "model.gguf", "LLM_LOCAL_CACHE_DIR": "cache", "PYTHONPATH": str(tmp_path)}
    with process(tmp_path, **settings) as (running, port):
        assert "llm.no_folder" in ask_health(port)[1]["reason"]
        assert running.poll() is None


def test_taken_port_ends_the_process(tmp_path: Path) -> None:
    with create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with process(tmp_path, LLM_LOCAL_MODEL_PATH="nothing.gguf", LLM_HTTP_PORT=port) as (running, _):
            output, _ = running.communicate(timeout=ENDS_WITHIN_S)
    assert running.returncode == 1
    assert "port is taken" in output


def test_invalid_setting_ends_the_process(tmp_path: Path) -> None:
    with process(tmp_path, LLM_LOCAL_CONTEXT_TOKENS="1") as (running, _):
        output, _ = running.communicate(timeout=ENDS_WITHIN_S)
    assert running.returncode == 1
    assert output.startswith("service could not start: LLM_LOCAL_CONTEXT_TOKENS: ")


@pytest.fixture
def blocked_signals() -> Generator[None]:
    """The stop signals are blocked, as `main` blocks them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.usefixtures("blocked_signals")
def test_server_that_does_not_answer_ends_the_wait() -> None:
    assert wait_while_healthy(free_port(), interval_s=0.01) == 1


class _Healthy(BaseHTTPRequestHandler):
    checked = threading.Event()

    def do_GET(self) -> None:
        """Answer, and send this process SIGTERM."""
        self.send_response(200)
        self.end_headers()
        if not self.checked.is_set():
            self.checked.set()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


@pytest.mark.usefixtures("blocked_signals")
def test_stop_signal_ends_the_wait_for_a_healthy_server() -> None:
    with HTTPServer(("127.0.0.1", 0), _Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert wait_while_healthy(server.server_address[1], interval_s=0.01) == 0
        server.shutdown()
    assert _Healthy.checked.is_set()


def test_threads_default_to_the_cores() -> None:
    assert LlmServiceSettings(threads=3).thread_count == 3
    assert 1 <= LlmServiceSettings().thread_count <= 8
