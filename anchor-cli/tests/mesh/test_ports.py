"""Taken ports are found, with their owner."""

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


def test_only_taken_ports_are_told_and_by_whom(listener: int, free_port: Callable[[], int]) -> None:
    (taken,) = find_taken_ports("127.0.0.1", [free_port(), listener])
    assert (taken.port, taken.pid) == (listener, os.getpid())
    assert "python" in taken.command


def test_a_mesh_refuses_to_start_on_a_taken_port_and_says_how_to_choose_another(listener: int) -> None:
    with pytest.raises(InvalidRequest) as raised:
        require_free_ports("127.0.0.1", mesh_programs(MeshSettings(tts_http_port=listener)))
    assert raised.value.code == "mesh.port_taken"
    assert f"port {listener} is taken by process {os.getpid()}" in raised.value.message
    assert "TTS_HTTP_PORT" in raised.value.message


def test_an_owner_that_cannot_be_seen_is_not_invented() -> None:
    assert str(TakenPort(80, None, "")) == "port 80 is taken by a process that is not visible"
