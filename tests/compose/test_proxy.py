"""The proxy for other hosts: Caddy with deploy/caddy/Caddyfile in front of the mesh in containers.

The image in compose.yaml cannot be fetched everywhere, so Debian's package `caddy` runs the same file here, on a port
of its own.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
from anchor.session.v1 import session_pb2, session_pb2_grpc
from compose_support import PROJECT, free_ports, running
from grpc import aio
from websockets.asyncio.client import connect

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SECRET = "hush, hush, sixteen"  # noqa: S105


@dataclass(frozen=True)
class Proxy:
    """Caddy at `https://localhost:port`, with the root certificate that clients must trust."""

    port: int
    root: Path

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.root))

    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"https://localhost:{self.port}", verify=self.trust)


@pytest.fixture
def proxy(containers, tmp_path) -> Iterator[Callable[..., Proxy]]:
    """Starts Caddy with a secret, or with an empty one; in front of the mesh, or of another server on this machine."""
    if shutil.which("caddy") is None:
        pytest.skip("needs Caddy: apt-get install caddy")
    with ExitStack() as stack:

        def start(secret: str, upstream_port: int = containers.ports["orchestrator"], secret_file: str = "") -> Proxy:
            (port,) = free_ports(1)
            log, root = tmp_path / "caddy.log", tmp_path / "data/caddy/pki/authorities/local/root.crt"
            command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(PROJECT / "deploy/caddy/Caddyfile")]
            environment = {
                "HOME": str(tmp_path),
                "XDG_DATA_HOME": str(tmp_path / "data"),
                "XDG_CONFIG_HOME": str(tmp_path / "config"),
                "PROXY_PORT": str(port),
                "SHARED_SECRET": secret,
                "SHARED_SECRET_FILE": secret_file,
                "ANCHOR_UPSTREAM": f"127.0.0.1:{upstream_port}",
                "ANCHOR_GRPC_UPSTREAM": f"127.0.0.1:{containers.grpc_port}",
            }
            stack.enter_context(running(command, log, **environment))
            deadline_s = time.monotonic() + 60
            # Caddy logs this line for the authority and for the site.
            while "certificate obtained successfully" not in log.read_text("utf-8") or not root.exists():
                assert time.monotonic() < deadline_s, log.read_text("utf-8")
                time.sleep(0.1)
            return Proxy(port, root)

        yield start


async def test_the_page_is_served_over_https_by_the_local_authority(proxy) -> None:
    caddy = proxy(SECRET)
    async with caddy.http() as http:
        page = await http.get("/")
        health = await http.get("/health")
    assert page.status_code == 200
    assert "<html" in page.text
    assert health.json()["service"] == "orchestrator"
    stranger = httpx.AsyncClient(base_url=f"https://localhost:{caddy.port}", verify=ssl.create_default_context())
    async with stranger:
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await stranger.get("/")


async def test_a_browser_session_works_through_the_proxy(proxy) -> None:
    caddy = proxy(SECRET)
    # The origin of the page; other origins are refused.
    origin = f"https://localhost:{caddy.port}"
    async with connect(f"wss://localhost:{caddy.port}/ws/audio", ssl=caddy.trust, origin=origin) as socket:
        await socket.send(json.dumps({"type": "session_start", "language": "en"}))
        assert json.loads(await socket.recv())["type"] == "session_started"
        await socket.send(json.dumps({"type": "text_input", "text": "Who are you?"}))
        pcm = 0
        async with asyncio.timeout(60):
            while pcm < 24_000:
                frame = await socket.recv()
                pcm += len(frame) if isinstance(frame, bytes) else 0
    assert pcm >= 24_000


async def test_a_grpc_session_works_through_the_proxy(proxy) -> None:
    caddy = proxy(SECRET)
    trust = grpc.ssl_channel_credentials(caddy.root.read_bytes())
    async with aio.secure_channel(f"localhost:{caddy.port}", trust) as channel:
        call = session_pb2_grpc.SessionServiceStub(channel).Converse(timeout=60)
        start = session_pb2.ClientMessage(session_start=session_pb2.SessionStart(language="en"))
        await call.write(session_pb2.ConverseRequest(message=start))
        first = await call.read()
        call.cancel()
    assert first.message.WhichOneof("message") == "session_started"


@pytest.mark.parametrize("secret", ["", "fifteen letters"])
async def test_without_a_good_secret_the_proxy_refuses_everything(proxy, secret: str) -> None:
    caddy = proxy(secret)
    async with caddy.http() as http:
        answers = [await http.get("/"), await http.get("/health"), await http.post("/conversation/start", json={})]
    assert {answer.status_code for answer in answers} == {503}
    assert "SHARED_SECRET" in answers[0].text


async def test_the_proxy_opens_for_a_secret_in_a_file(proxy) -> None:
    async with proxy("", secret_file="secrets/shared").http() as http:  # noqa: S106
        assert (await http.get("/health")).status_code == 200


async def test_the_proxy_does_not_expose_metrics(proxy) -> None:
    async with proxy(SECRET).http() as http:
        assert (await http.get("/metrics")).status_code == 404


async def test_the_proxy_forwards_little_of_an_endless_body(proxy) -> None:
    received = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        while piece := await reader.read(65_536):
            received += len(piece)
        writer.close()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(65_536)

    async with await asyncio.start_server(count, "127.0.0.1", 0) as server:
        caddy = proxy(SECRET, server.sockets[0].getsockname()[1])
        async with caddy.http() as http:
            try:
                answer = await http.post("/interact", content=endless(), timeout=60)
            except httpx.TransportError:
                # The proxy stopped reading before it answered.
                pass
            else:
                assert answer.status_code in {413, 502}
    assert 1_000_000 < received < 18_000_000


async def test_an_endless_header_is_refused(proxy) -> None:
    caddy = proxy(SECRET)
    reader, writer = await asyncio.open_connection("localhost", caddy.port, ssl=caddy.trust)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        await writer.drain()
        async with asyncio.timeout(60):
            assert b"200" not in await reader.read()
    finally:
        writer.close()
