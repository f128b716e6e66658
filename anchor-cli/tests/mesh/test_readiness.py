"""Waiting for the services, and counting failed starts."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from anchor_cli.mesh.programs import Program
from anchor_cli.mesh.readiness import ServiceState, StartCounter, wait_until_ready
from anchor_cli.mesh.supervisor_client import ProgramState
from service_kit.errors import PeerFailed


def test_program_fails_after_too_many_starts_or_fatal() -> None:
    count = StartCounter()

    def at(started_at_s: int, state: str = "BACKOFF") -> list[ProgramState]:
        return [ProgramState("stt", state, 0, started_at_s, "Exited too quickly")]

    assert [count.find_failed(at(second)) for second in (0, 1, 1, 1, 2)] == [None] * 5
    given_up = count.find_failed(at(4))
    assert given_up is not None
    assert given_up.name == "stt"
    assert StartCounter().find_failed(at(1, "FATAL")) is not None


class _Supervisor:
    """Reports the same states at every poll."""

    def __init__(self, *states: ProgramState) -> None:
        self._states = list(states)

    async def fetch_states(self) -> list[ProgramState]:
        return self._states


@contextmanager
def serving(**answers: tuple[int, dict[str, str]]) -> Generator[int]:
    """An HTTP server that answers `/NAME` with a status and a JSON object; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[self.path.strip("/")]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def members(port: int) -> list[Program]:
    llm = Program("llm", "llm_service", 45, None, port, optional=True, ready_path="/health")
    return [llm, Program("stt", "stt_service", 10, 1, port)]


async def states_of(port: int, *reported: ProgramState) -> Mapping[str, ServiceState]:
    return await wait_until_ready(members(port), _Supervisor(*reported), 20, lambda _: None)


async def test_optional_program_without_its_model_does_not_stop_the_mesh() -> None:
    failed = {"status": "failed", "reason": "models.missing: no file"}
    with serving(ready=(200, {"status": "ready"}), health=(503, failed)) as port:
        states = await states_of(port)
    assert (states["llm"].stage, states["llm"].reason) == ("failed", "models.missing: no file")
    assert states["llm"].ready_after_s is None
    assert states["stt"].ready_after_s is not None


async def test_optional_program_that_cannot_start_is_given_up() -> None:
    with serving(ready=(200, {"status": "ready"}), health=(503, {})) as port:
        states = await states_of(port, ProgramState("llm", "FATAL", 0, 1, "Exited too quickly"))
    assert (states["llm"].stage, states["llm"].reason) == ("failed", "Exited too quickly")


async def test_mesh_waits_while_an_optional_program_loads() -> None:
    with serving(ready=(200, {"status": "ready"}), health=(200, {"status": "ok"})) as port:
        states = await states_of(port)
    assert (states["llm"].stage, states["stt"].stage) == ("ready", "ready")


async def test_needed_program_that_fails_stops_the_mesh() -> None:
    with (
        serving(ready=(503, {"status": "failed"}), health=(200, {"status": "ok"})) as port,
        pytest.raises(PeerFailed, match="stt does not start"),
    ):
        await states_of(port, ProgramState("stt", "FATAL", 0, 1, "Exited too quickly"))
