"""Finding taken ports and their owners."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator

import pytest
from anchor_cli.mesh.mesh import require_free_ports
from anchor_cli.mesh.ports import TakenPort, find_taken_ports
from anchor_cli.mesh.programs import mesh_programs
from anchor_cli.settings import MeshSettings
from service_kit.errors import InvalidRequest


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_taken_ports_are_found_with_their_owner(listener: int, free_port: Callable[[], int]) -> None:
    (taken,) = find_taken_ports("127.0.0.1", [free_port(), listener])
    assert (taken.port, taken.pid) == (listener, os.getpid())
    assert "python" in taken.command


def test_taken_port_is_an_error_that_names_the_setting(listener: int) -> None:
    with pytest.raises(InvalidRequest) as raised:
        require_free_ports(mesh_programs(MeshSettings(tts_http_port=listener)))
    assert raised.value.code == "mesh.port_taken"
    assert f"port {listener} is taken by process {os.getpid()}" in raised.value.message
    assert "TTS_HTTP_PORT" in raised.value.message


def test_invisible_owner_is_stated_as_such() -> None:
    assert str(TakenPort(80, None, "")) == "port 80 is taken by a process that is not visible"


@pytest.mark.ipv6
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_ports_of_an_ipv6_address_are_checked_there(host: str, free_port: Callable[[], int]) -> None:
    assert find_taken_ports(host, [free_port()]) == []
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
        (taken,) = find_taken_ports(host, [port])
        assert (taken.port, taken.pid) == (port, os.getpid())
