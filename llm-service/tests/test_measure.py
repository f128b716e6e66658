"""The measurement of the local language model, against a small HTTP server; and against the model where it is there."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import pytest
from llm_service.measure import installed_engines, measure
from llm_service.settings import MODEL
from service_kit.errors import PeerFailed

PROJECT = Path(__file__).parents[2]
RESTORE_S, FIRST_S, NEXT_S = 0.05, 0.1, 0.02
TOKENS = 6


class Server(BaseHTTPRequestHandler):
    """Streams `TOKENS` tokens at the pace of the constants, in the form of llama.cpp's server."""

    lines: ClassVar = [
        b'data: {"choices":[{"delta":{"role":"assistant","content":null}}]}',
        *[b'data: {"choices":[{"delta":{"content":" a"}}]}'] * TOKENS,
        b'data: {"choices":[],"usage":{}}',
        b"data: [DONE]",
    ]
    asked: ClassVar[list[tuple[str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body))
        self.send_response(200)
        self.end_headers()
        if "slots" in self.path:
            time.sleep(RESTORE_S)
            self.wfile.write(b"{}")
            return
        time.sleep(FIRST_S)
        for line in self.lines:
            self.wfile.write(line + b"\n\n")
            self.wfile.flush()
            time.sleep(NEXT_S)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(handler: type[Server]) -> Generator[str]:
    handler.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_restored_passage_counts_for_the_first_token_only() -> None:
    with serving(Server) as address:
        speed = measure(address)
    assert RESTORE_S + FIRST_S <= speed.first_token_s < RESTORE_S + FIRST_S + 1
    assert 0.1 / NEXT_S < speed.tokens_per_s <= 1 / NEXT_S
    paths = [path for path, _ in Server.asked]
    chat = "/v1/chat/completions"
    assert paths == [chat, "/slots/0?action=save", *["/slots/0?action=restore", chat] * 3]
    bodies = [body["messages"] for path, body in Server.asked if path == chat]
    assert {messages[0]["content"] for messages in bodies} == {bodies[0][0]["content"]}
    assert bodies[0][1]["content"] == ""
    assert len({messages[1]["content"] for messages in bodies}) == 4


@pytest.mark.parametrize(
    "line", [b"data: {", b'data: {"choices":3}', b'data: {"choices":[{}]}', b'data: {"choices":[{"delta":3}]}']
)
def test_another_stream_is_refused(line: bytes) -> None:
    with (
        serving(type("Garbled", (Server,), {"lines": [line]})) as address,
        pytest.raises(PeerFailed, match="the model server streams"),
    ):
        measure(address)


@pytest.mark.parametrize(("tokens", "complaint"), [(0, "without a token"), (1, "one token only")])
def test_an_answer_without_a_pace_is_refused(tokens: int, complaint: str) -> None:
    lines = [*Server.lines[1 : 1 + tokens], b"data: [DONE]"]
    with serving(type("Short", (Server,), {"lines": lines})) as address, pytest.raises(PeerFailed, match=complaint):
        measure(address)


def test_a_server_that_refuses_is_named() -> None:
    def refuse(self: Server) -> None:
        self.send_response(501)
        self.end_headers()
        self.wfile.write(b"no slots")

    with (
        serving(type("Refusing", (Server,), {"do_POST": refuse})) as address,
        pytest.raises(PeerFailed, match="HTTP 501: no slots"),
    ):
        measure(address)


def test_a_model_that_is_not_there_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCHOR_MODELS_DIR", str(tmp_path))
    assert installed_engines() == []
    (tmp_path / MODEL).mkdir()
    assert installed_engines() == (["local-llm"] if find_spec("xllamacpp") else [])


def test_without_the_model_the_program_says_why(tmp_path: Path) -> None:
    (tmp_path / "models.lock").write_bytes((PROJECT / "models.lock").read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "llm_service.measure"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no model file" in done.stderr.splitlines()[-1]


@pytest.mark.pulled
@pytest.mark.skipif(
    find_spec("xllamacpp") is None or not (PROJECT / "models" / MODEL).is_dir(),
    reason="needs the local language model: make run LLM=local",
)
@pytest.mark.timeout(180)
def test_the_real_model_has_a_speed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "llm_service.measure"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    speed = json.loads(done.stdout.splitlines()[-1])["local-llm"]
    assert 0 < speed["first_token_s"] < 60
    assert speed["tokens_per_s"] > 0.1
