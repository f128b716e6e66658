"""Counting failed starts."""

from __future__ import annotations

from anchor_cli.mesh.readiness import StartCounter
from anchor_cli.mesh.supervisor_client import ProgramState


def test_program_fails_after_too_many_starts_or_fatal() -> None:
    count = StartCounter()

    def at(started_at_s: int, state: str = "BACKOFF") -> list[ProgramState]:
        return [ProgramState("stt", state, 0, started_at_s, "Exited too quickly")]

    assert [count.find_failed(at(second)) for second in (0, 1, 1, 1, 2)] == [None] * 5
    given_up = count.find_failed(at(4))
    assert given_up is not None
    assert given_up.name == "stt"
    assert StartCounter().find_failed(at(1, "FATAL")) is not None
