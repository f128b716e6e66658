"""Processes of a mesh."""

from __future__ import annotations

from anchor_cli.mesh.processes import kill_processes, read_command_line
from anchor_cli.mesh.readiness import ServiceState


def test_killing_an_ended_process_is_not_an_error() -> None:
    kill_processes({2**22 + 1})
    assert read_command_line(2**22 + 1) == ""
    assert ServiceState().stage == "starting"
