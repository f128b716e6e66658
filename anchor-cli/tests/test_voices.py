"""The voice commands, against a fake of the orchestrator's API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from anchor_cli.app import app
from typer.testing import CliRunner

STATEMENT = "I consent that this anchor speaks with my voice."
CONSENT = {"object": "audio.voice_consent", "id": "cons_1", "name": "Ana Silva", "language": "en", "created_at": 1}


def entry(voice_id: str, **fields: Any) -> dict[str, Any]:
    known = {"id": voice_id, "name": voice_id, "languages": ["en"], "engine": "fake", "cloned": False, "consent": None}
    return {**known, **fields}


class FakeVoices:
    """Fake API of the voices; `refusal` is what it answers instead."""

    def __init__(self) -> None:
        self.voices = {"tone": entry("tone")}
        self.cloning = {"available": True, "languages": ["en"], "reason": ""}
        self.refusal: tuple[int, Any] | None = None
        self.tokens: set[str] = set()
        # The parts of the last form, and the last JSON body.
        self.form: dict[str, bytes] = {}
        self.body: Any = None

    def answer(self, method: str, path: str, kind: str, body: bytes) -> tuple[int, bytes]:
        if self.refusal is not None:
            return self.refusal[0], json.dumps(self.refusal[1]).encode()
        if method == "GET":
            return 200, json.dumps({"data": list(self.voices.values()), "cloning": self.cloning}).encode()
        if method == "DELETE":
            del self.voices[path.rpartition("/")[2].replace("%3A", ":")]
            return 200, b'{"deleted": true}'
        if path.endswith("/speech"):
            self.body = json.loads(body)
            return 200, b"RIFF speech"
        parts = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body).get_payload()
        self.form = {
            part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in parts
        }  # type: ignore[union-attr,misc]
        added = entry("fake:ana", name="Ana", cloned=True, consent=CONSENT, transcript="good evening all")
        self.voices["fake:ana"] = added
        return 200, json.dumps(added).encode()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVoices]:
    known = FakeVoices()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.tokens.add(self.headers.get("Authorization", ""))
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status, page = known.answer(self.command, self.path, self.headers.get("Content-Type", ""), body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        do_POST = do_DELETE = do_GET

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("ORCHESTRATOR_HTTP_PORT", str(server.server_address[1]))
    monkeypatch.setenv("COLUMNS", "200")
    yield known
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "ana.flac"
    path.write_bytes(b"fLaC\0\1recording")
    return path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["voice", *arguments])


def test_voice_is_added_with_a_written_consent(api: FakeVoices, recording: Path) -> None:
    added = run("add", str(recording), "--name", "Ana", "--consent", STATEMENT, "--consent-name", "Ana Silva")
    assert added.exit_code == 0, added.output
    assert api.form["audio_sample"] == recording.read_bytes()
    assert {name: api.form[name] for name in ("name", "consent", "consent_name")} == {
        "name": b"Ana",
        "consent": STATEMENT.encode(),
        "consent_name": b"Ana Silva",
    }
    assert "fake:ana" in added.output
    assert "good evening all" in added.output


def test_consent_may_be_a_file(api: FakeVoices, recording: Path, tmp_path: Path) -> None:
    spoken, written = tmp_path / "consent.wav", tmp_path / "consent.txt"
    spoken.write_bytes(b"RIFF\0\xff")
    written.write_text(STATEMENT, "utf-8")
    for file in (spoken, written):
        added = run("add", str(recording), "--name", "Ana", "--consent", str(file), "--transcript", "good evening")
        assert added.exit_code == 0, added.output
        assert api.form["consent"] == file.read_bytes()
    assert "heard" not in added.output


def test_voice_needs_a_consent(api: FakeVoices, recording: Path) -> None:
    assert run("add", str(recording), "--name", "Ana").exit_code == 2
    assert api.form == {}


def test_voices_are_listed_with_who_consented(api: FakeVoices) -> None:
    listed = run("list")
    assert "No voice was added; add one with" in listed.output
    api.voices["fake:ana"] = entry("fake:ana", cloned=True, consent=CONSENT)
    listed = run("list")
    assert listed.exit_code == 0
    assert "added, with the consent of Ana Silva" in listed.output
    assert "No voice" not in listed.output


def test_list_says_why_no_voice_can_be_added(api: FakeVoices) -> None:
    api.cloning = {"available": False, "languages": [], "reason": "engine 'espeak' cannot clone voices"}
    assert "No voice can be added: engine 'espeak' cannot clone voices" in run("list").output


def test_text_is_spoken_into_a_file(api: FakeVoices, tmp_path: Path) -> None:
    said = run("say", "fake:ana", "Good evening.", "-o", str(tmp_path / "x.wav"))
    assert said.exit_code == 0, said.output
    assert api.body == {"input": "Good evening.", "voice": "fake:ana"}
    assert (tmp_path / "x.wav").read_bytes() == b"RIFF speech"
    failed = run("say", "fake:ana", "Good evening.", "-o", str(tmp_path / "none" / "x.wav"))
    assert (failed.exit_code, "voice.unwritable" in failed.output) == (1, True)


def test_voice_is_removed(api: FakeVoices) -> None:
    api.voices["fake:ana"] = entry("fake:ana", cloned=True)
    assert run("remove", "fake:ana").exit_code == 0
    assert list(api.voices) == ["tone"]


def test_refusal_is_printed(api: FakeVoices, recording: Path) -> None:
    api.refusal = (501, {"error": {"code": "tts.cloning_unsupported", "message": "pocket-tts can", "retryable": False}})
    refused = run("add", str(recording), "--name", "Ana", "--consent", STATEMENT)
    assert refused.exit_code == 1
    assert "pocket-tts can" in refused.output
    assert "tts.cloning_unsupported" in refused.output


def test_shared_secret_is_sent(api: FakeVoices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARED_SECRET", "correct horse")
    run("list")
    assert api.tokens == {"Bearer correct horse"}


def test_missing_recording_is_named(api: FakeVoices, tmp_path: Path) -> None:
    missing = run("add", str(tmp_path / "none.wav"), "--name", "Ana", "--consent", STATEMENT)
    assert (missing.exit_code, "none.wav" in missing.output) == (1, True)
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(16 * 1024 * 1024 + 1)
    assert "voice.file_too_large" in run("add", str(large), "--name", "Ana", "--consent", STATEMENT).output


@pytest.mark.parametrize("arguments", [("list",), ("say", "tone", "Hello"), ("remove", "tone")])
def test_missing_mesh_is_said_with_how_to_start_it(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HTTP_PORT", "9")
    monkeypatch.setenv("COLUMNS", "200")
    asked = run(*arguments)
    assert asked.exit_code == 1
    assert "mesh.not_running" in asked.output
    assert "anchor up" in asked.output
