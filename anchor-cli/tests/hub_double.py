"""A fake model hub over HTTP with configurable faults, and a store that pulls from it."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
from anchor_cli.model_store.download import OnProgress
from anchor_cli.model_store.pull import ModelStore

COMMIT = "c0ffee" * 6 + "cafe"
WEIGHTS = struct.pack("<Q", 60) + b'{"__metadata__":{}}' + bytes(range(256)) * 4000
CONFIG = b'{"dim": 64}'
# Where the hub's redirects lead to.
STORAGE = "/elsewhere/"
# The hub stores large files in LFS.
LFS_FROM_BYTES = 1000


@dataclass
class Hub:
    """Serves and lists the files of one repository as the hub does, and records the requests for content.

    Files of more than `LFS_FROM_BYTES` are in LFS: their SHA-256 is listed, and is a header of the response. All others
    are Git blobs.
    """

    files: dict[str, bytes]
    # Maximum bytes of each response body with a file; 0 for all.
    breaks: int = 0
    ignores_ranges: bool = False
    no_length: bool = False
    # Files in LFS are on another host.
    redirects: bool = False
    # False for a mirror that states no sizes and hashes.
    states_hashes: bool = True
    # Files are for the token `secret` only; `accepted` is whether its account accepted the terms.
    gated: bool = False
    accepted: bool = True
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

    @property
    def fetched(self) -> list[tuple[str, str]]:
        """The requests for files."""
        return [(path, span) for path, span in self.asked if "/resolve/" in path]

    def content_of(self, path: str) -> bytes | None:
        """The file at a path of the hub: by its path in the repository, or its name."""
        place = path.partition("/resolve/")[2].partition("/")[2]
        return self.files.get(place, self.files.get(path.rpartition("/")[2]))

    def listed(self, name: str, *, blobs: bool) -> dict[str, object]:
        """The entry of a file in the listing."""
        content = self.files.get(name, b"gone")
        if not blobs or not self.states_hashes:
            return {"rfilename": name}
        blob = {"rfilename": name, "size": len(content), "blobId": git_blob(content)}
        if not is_in_lfs(content):
            return blob
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(content)}\nsize {len(content)}\n"
        lfs = {"sha256": sha256(content), "size": len(content), "pointerSize": len(pointer)}
        return {**blob, "blobId": git_blob(pointer.encode()), "lfs": lfs}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def is_in_lfs(content: bytes) -> bool:
    return len(content) > LFS_FROM_BYTES


def answer(hub: Hub, request: BaseHTTPRequestHandler) -> None:
    wanted_range = request.headers.get("Range", "")
    path, _, query = request.path.partition("?")
    if request.command == "GET":
        hub.asked.append((path, wanted_range))
        hub.tokens.append(request.headers.get("Authorization", ""))
    if hub.statuses:
        _refuse(request, hub.statuses.pop(0))
    elif path.startswith("/api/models/"):
        _send(replace(hub, breaks=0, no_length=False), request, _listing(hub, path, query), wanted_range, {})
    elif hub.gated and not path.startswith(STORAGE) and (status := _gate(hub, request)):
        _refuse(request, status, "GatedRepo")
    elif (content := hub.content_of(path)) is None:
        _refuse(request, 404, "EntryNotFound")
    else:
        _answer_file(hub, request, path, content, wanted_range)


def _gate(hub: Hub, request: BaseHTTPRequestHandler) -> int:
    """The status that refuses a request for a gated file; 0 for none."""
    if request.headers.get("Authorization") != "Bearer secret":
        return 401
    return 0 if hub.accepted else 403


def _answer_file(hub: Hub, request: BaseHTTPRequestHandler, path: str, content: bytes, wanted_range: str) -> None:
    headers = {"x-repo-commit": COMMIT, "ETag": f'"{git_blob(content)}"'}
    if is_in_lfs(content):
        headers = {
            "x-repo-commit": COMMIT,
            "ETag": '"of-the-storage"',
            "X-Linked-Etag": f'"{sha256(content)}"',
            "X-Linked-Size": str(len(content)),
        }
    if not hub.states_hashes:
        headers = {"x-repo-commit": COMMIT}
    if path.startswith(STORAGE):
        headers = {}
    elif hub.redirects and is_in_lfs(content):
        request.send_response(302)
        for name, value in headers.items():
            request.send_header(name, value)
        # Another host, which the token is not for.
        request.send_header("Location", f"http://localhost:{hub.port}{STORAGE}{path.removeprefix('/')}")
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    _send(hub, request, content, wanted_range, headers)


def _listing(hub: Hub, path: str, query: str) -> bytes:
    names = [*hub.files, *hub.gone]
    entries = [hub.listed(name, blobs="blobs=true" in query) for name in names]
    repository = path.removeprefix("/api/models/").partition("/revision/")[0]
    gated = "auto" if hub.gated else False
    said = {"id": repository, "sha": COMMIT, "gated": gated, "siblings": entries}
    return hub.listing or json.dumps(said).encode()


def _refuse(request: BaseHTTPRequestHandler, status: int, reason: str = "") -> None:
    request.send_response(status)
    if reason:
        request.send_header("X-Error-Code", reason)
    request.send_header("Content-Length", "0")
    request.end_headers()


def _send(
    hub: Hub, request: BaseHTTPRequestHandler, content: bytes, wanted_range: str, headers: dict[str, str]
) -> None:
    start = int(wanted_range.removeprefix("bytes=").rstrip("-") or 0)
    if start and start >= len(content):
        _refuse(request, 416)
        return
    start = 0 if hub.ignores_ranges else start
    request.send_response(206 if start else 200)
    if start:
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    for name, value in headers.items():
        request.send_header(name, value)
    if not hub.no_length:
        request.send_header("Content-Length", str(len(content) - start))
    request.send_header("Connection", "close")
    request.end_headers()
    if request.command == "HEAD":
        return
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

        do_HEAD = do_GET

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
    digest = sha256(content) if content is not None else ""
    return f'{{path = "{path}", sha256 = "{digest}", size_bytes = {len(content or b"")}}}'


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
