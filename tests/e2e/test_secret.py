"""A mesh that is open to the network: its secret, and what is reached beyond loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest
from anchor_cli.mesh.self_test import run_self_test
from mesh_launcher import SERVICES, RunningMesh, launch_mesh
from pydantic import SecretStr
from service_kit.errors import PeerFailed

pytestmark = pytest.mark.e2e

SECRET = SecretStr("8c41f0d2a97b35e6")


@pytest.fixture(scope="module")
def open_mesh() -> Iterator[RunningMesh]:
    with launch_mesh(ANCHOR_HOST="0.0.0.0", SHARED_SECRET=SECRET.get_secret_value()) as mesh:
        yield mesh


async def test_the_self_test_passes_with_the_secret_and_not_without(open_mesh) -> None:
    assert (await run_self_test(open_mesh.settings.model_copy(update={"shared_secret": SECRET}))).transcript
    with pytest.raises(PeerFailed, match="set SHARED_SECRET"):
        await run_self_test(open_mesh.settings)


def is_reached(port: int) -> bool:
    """Whether a server takes a connection to another address of this machine: 127.0.0.2 is not 127.0.0.1."""
    with socket.socket() as client:
        client.settimeout(2)
        return client.connect_ex(("127.0.0.2", port)) == 0


def test_only_the_orchestrator_is_reached_beyond_loopback(open_mesh) -> None:
    ports = {
        f"{service} {api}": getattr(open_mesh.settings, f"{service}_{api}_port")
        for service in SERVICES
        for api in ("grpc", "http")
    }
    assert {name for name, port in ports.items() if is_reached(port)} == {"orchestrator grpc", "orchestrator http"}


def test_the_open_orchestrator_asks_for_the_secret(open_mesh) -> None:
    url = f"http://127.0.0.2:{open_mesh.settings.orchestrator_http_port}/conversation/none"
    asked = {"Authorization": f"Bearer {SECRET.get_secret_value()}"}
    assert (httpx.get(url).status_code, httpx.get(url, headers=asked).status_code) == (401, 404)


def test_no_other_process_has_the_secret(open_mesh) -> None:
    """The launcher and supervisord hand it on, the orchestrator reads it."""
    mark = f"SHARED_SECRET={SECRET.get_secret_value()}".encode()
    holders = {
        command.strip()
        for pid, command in open_mesh.processes().items()
        if mark in (open_mesh.folder.joinpath("/proc", str(pid), "environ")).read_bytes().split(b"\0")
    }
    assert not [
        command for command in holders if "_service" in command or "gpu_monitor" in command or "worker" in command
    ]
    assert [command for command in holders if command.endswith("-m orchestrator")]
