"""A fake model hub over HTTP with configurable faults, and a store that pulls from it."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
from anchor_cli.model_store.download import OnProgress
from anchor_cli.model_store.pull import ModelStore

COMMIT = "c0ffee" * 6 + "cafe"
WEIGHTS = struct.pack("<Q", 60) + b'{"__metadata__":{}}' + bytes(range(256)) * 4000
CONFIG = b'{"dim": 64}'


@dataclass
class Hub:
    """Serves and lists the files of one repository, and records the requests."""

    files: dict[str, bytes]
    # Maximum bytes of each response body; 0 for all.
    breaks: int = 0
    ignores_ranges: bool = False
    no_length: bool = False
    redirects: bool = False
    # Replaces the file listing.
    listing: bytes = b""
    # Files that are listed but missing.
    gone: list[str] = field(default_factory=list)
    # Statuses of the first responses.
    statuses: list[int] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def answer(hub: Hub, request: BaseHTTPRequestHandler) -> None:
    wanted_range = request.headers.get("Range", "")
    hub.asked.append((request.path, wanted_range))
    hub.tokens.append(request.headers.get("Authorization", ""))
    if hub.statuses:
        request.send_response(hub.statuses.pop(0))
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    if hub.redirects and not request.path.startswith("/elsewhere/"):
        request.send_response(302)
        request.send_header("x-repo-commit", COMMIT)
        request.send_header("Location", f"/elsewhere{request.path}")
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    content = hub.files.get(request.path.rpartition("/")[2])
    if request.path.startswith("/api/models/"):
        names = [*hub.files, *hub.gone]
        said = {"sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
        content = hub.listing or json.dumps(said).encode()
    if content is None:
        request.send_response(404)
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    start = int(wanted_range.removeprefix("bytes=").rstrip("-") or 0)
    if start and start >= len(content):
        request.send_response(416)
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    start = 0 if hub.ignores_ranges else start
    request.send_response(206 if start else 200)
    if start:
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    if not hub.redirects:
        request.send_header("x-repo-commit", COMMIT)
    if not hub.no_length:
        request.send_header("Content-Length", str(len(content) - start))
    request.send_header("Connection", "close")
    request.end_headers()
    # A client that rejects the first bytes closes the connection.
    with suppress(ConnectionError):
        request.wfile.write(content[start : start + (hub.breaks or len(content))])
    request.close_connection = True


@contextmanager
def serving(hub: Hub) -> Generator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(hub, self)

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class RecordedProgress:
    """Records the printed lines and the progress."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps: list[tuple[int, int]] = []

    def print_line(self, line: str) -> None:
        self.lines.append(line)

    @contextmanager
    def track(self, name: str) -> Generator[OnProgress]:
        yield lambda here, total: self.steps.append((here, total))


def entry(path: str, content: bytes | None) -> str:
    sha256 = hashlib.sha256(content).hexdigest() if content is not None else ""
    return f'{{path = "{path}", sha256 = "{sha256}", size_bytes = {len(content or b"")}}}'


def lock_text(*files: str, revision: str = COMMIT) -> str:
    return f'''
[[model]]
kind = "hub"
name = "tiny"
repository = "example/tiny"
revision = "{revision}"
licence = "MIT"
profiles = ["gpu"]
files = [{", ".join(files)}]
'''


PINNED = lock_text(entry("model.safetensors", WEIGHTS), entry("config.json", CONFIG))
UNLISTED = lock_text(revision="main")
UNKNOWN = lock_text(entry("model.safetensors", None), entry("config.json", None), revision="main")


def store_of(hub: Hub, tmp_path: Path) -> ModelStore:
    """A store whose lock has the model `tiny` with all hashes."""
    (tmp_path / "models.lock").write_text(PINNED)
    return ModelStore(
        lock=tmp_path / "models.lock",
        folder=tmp_path / "models",
        hub_url=hub.url,
        client=lambda: httpx.Client(trust_env=False, follow_redirects=True, timeout=5),
        progress=RecordedProgress(),
        free_bytes=lambda folder: 100 << 30,
        sleep=lambda seconds: None,
    )


def placed(store: ModelStore) -> dict[str, bytes]:
    return {str(p.relative_to(store.folder)): p.read_bytes() for p in store.folder.rglob("*") if p.is_file()}
