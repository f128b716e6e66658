"""Queries of the local machine."""

from __future__ import annotations

from pathlib import Path

from anchor_cli.doctor.machine import CommandResult, LocalMachine
from doctor_machine import ABSENT


def test_local_machine_answers_every_query(tmp_path: Path) -> None:
    machine = LocalMachine()
    assert machine.python >= (3, 11)
    assert machine.run_command("echo", "hello") == CommandResult("hello", succeeded=True)
    assert machine.run_command("sh", "-c", "echo; echo why >&2; exit 1") == CommandResult("why")
    assert machine.run_command("no-such-command-of-ai-anchor") == ABSENT
    assert not machine.run_command(str(tmp_path)).succeeded
    assert machine.free_bytes(tmp_path / "not/yet/there") > 0
    assert machine.find_taken_ports("127.0.0.1", []) == []
    assert machine.read_env_names(tmp_path / ".env") == {}
    (tmp_path / ".env").write_text("# Said in words.\n#SAMPLE_RATE=16000\nANCHOR_HOST=::1\n")
    assert machine.read_env_names(tmp_path / ".env") == {"SAMPLE_RATE": "16000", "ANCHOR_HOST": "::1"}
