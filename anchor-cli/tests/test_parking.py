"""The park and wake commands, against a fake of the orchestrator's API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from anchor_cli.app import app
from typer.testing import CliRunner


class FakeMemoryApi:
    """Fake `/memory` API: engines and their states; engines in `busy` refuse."""

    def __init__(self) -> None:
        self.states = {"llm": "awake", "tts": "awake", "stt": "fixed"}
        self.busy: set[str] = set()
        self.steps: list[str] = []
        self.tokens: set[str] = set()
        self.moves: list[str] = []
        # The response of another kind of server.
        self.other: tuple[int, Any] | None = None

    def answer(self, path: str, token: str) -> tuple[int, Any]:
        self.tokens.add(token)
        if self.other is not None:
            return self.other
        parts = path.strip("/").split("/")
        if len(parts) == 3:
            _, name, move = parts
            if name in self.busy:
                error = {"code": f"{name}.in_use", "message": "the engine is in use", "retryable": True}
                return 503, {"error": error}
            self.moves.append(f"{move} {name}")
            self.states[name] = "parked" if move == "park" else "awake"
        engines = {
            name: {"state": state, "in_use": name in self.busy, "wanted": False, "reason": ""}
            for name, state in self.states.items()
        }
        return 200, {"steps": self.steps, "skipped": {}, "engines": engines}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMemoryApi]:
    known = FakeMemoryApi()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = known.answer(self.path, self.headers.get("Authorization", ""))
            page = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        do_POST = do_GET

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("ORCHESTRATOR_HTTP_PORT", str(server.server_address[1]))
    yield known
    server.shutdown()
    thread.join()
    server.server_close()


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_all_movable_engines_are_parked_and_woken(api) -> None:
    parked = run("park")
    assert parked.exit_code == 0, parked.output
    assert api.moves == ["park llm", "park tts"]
    assert parked.output.count("parked") == 2
    assert "has none to release" in parked.output
    assert run("wake", "all").exit_code == 0
    assert api.states == {"llm": "awake", "tts": "awake", "stt": "fixed"}


def test_one_engine_is_parked_by_name(api) -> None:
    assert run("park", "tts").exit_code == 0
    assert api.moves == ["park tts"]


def test_engine_in_use_is_reported_and_others_are_parked(api) -> None:
    api.busy = {"llm"}
    parked = run("park")
    assert parked.exit_code == 1
    assert api.moves == ["park tts"]
    assert "llm.in_use" in parked.output
    assert "in use" in parked.output


def test_degradation_steps_are_shown(api) -> None:
    api.steps = ["short_contexts"]
    assert "degraded because of low memory: short_contexts" in run("wake").output


def test_shared_secret_is_sent(api, monkeypatch) -> None:
    monkeypatch.setenv("SHARED_SECRET", "correct horse")
    run("wake", "llm")
    assert api.tokens == {"Bearer correct horse"}


def test_shared_secret_may_have_letters_beyond_ascii(api, monkeypatch) -> None:
    monkeypatch.setenv("SHARED_SECRET", "b\u00fccher")
    run("wake", "llm")
    assert {token.encode("latin-1").decode() for token in api.tokens} == {"Bearer b\u00fccher"}


def test_missing_mesh_error_names_the_address(monkeypatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HTTP_PORT", "9")
    asked = run("park")
    assert asked.exit_code == 1
    assert "mesh.not_running" in asked.output
    assert "127.0.0.1:9" in asked.output


@pytest.mark.parametrize("answer", [(200, {}), (200, []), (200, {"engines": 7}), (404, {"error": "no"}), (404, [])])
def test_other_server_is_reported_as_no_anchor(api, answer) -> None:
    api.other = answer
    asked = run("park")
    assert asked.exit_code == 1
    assert "mesh.not_running" in asked.output


def test_unknown_engine_is_rejected(api) -> None:
    assert run("park", "vad").exit_code == 2
    assert api.moves == []
