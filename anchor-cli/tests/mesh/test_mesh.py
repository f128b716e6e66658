"""A mesh under the real supervisord, with toy programs."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from anchor_cli.mesh.log import LogLine
from anchor_cli.mesh.mesh import Mesh, mesh_lock, running_mesh
from anchor_cli.mesh.processes import find_mesh_processes
from anchor_cli.mesh.programs import Program
from anchor_cli.settings import MeshSettings
from service_kit.errors import AtCapacity, EngineFailed, InvalidRequest, PeerFailed, root_cause

# A toy service; the environment sets the status of `/ready`.
SERVICE = """
import http.server, json, os, sys
port = int(os.environ[sys.argv[0].rpartition("/")[2].removesuffix(".py").upper() + "_HTTP_PORT"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = int(os.environ.get("TEST_STATUS", "200"))
        body = json.dumps({"status": "ready" if status == 200 else "loading", "engine": "toy", "reason": "warming"})
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *args):
        pass
print(json.dumps({"level": "info", "service": "toy-service", "message": "began"}), flush=True)
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
STUBBORN = "import signal, subprocess, sys\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVICE
# Asks the program at the port in `peer` whether it is ready, once it is told to stop.
LINGERING = """
import pathlib, signal, threading, urllib.request
def linger(*_):
    port = pathlib.Path("peer").read_text()
    def ask():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
            pathlib.Path("seen").write_text(str(answer.status))
        os._exit(0)
    threading.Thread(target=ask).start()
signal.signal(signal.SIGTERM, linger)
"""
BROKEN = "raise SystemExit('no such model')"


@pytest.fixture
def lines() -> list[LogLine]:
    return []


@pytest.fixture
def toy(short_root: Path, free_port: Callable[[], int]) -> Callable[..., Program]:
    def program(source: str = SERVICE, name: str = "stt") -> Program:
        (short_root / f"{name}.py").write_text(source)
        return Program(name, name, 10, free_port(), free_port())

    return program


def configured(root: Path, program: Program, **options: float) -> MeshSettings:
    return MeshSettings(
        root=root, stt_grpc_port=program.grpc_port, stt_http_port=program.http_port, drain_s=0, **options
    )


def pid_of(mesh: Mesh) -> int:
    return mesh._process.pid


def environment_of(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


async def until_answering(port: int) -> None:
    async with asyncio.timeout(30), httpx.AsyncClient() as http:
        while True:
            try:
                await http.get(f"http://127.0.0.1:{port}/ready")
                return
            except httpx.HTTPError:
                await asyncio.sleep(0.02)


async def test_mesh_becomes_ready_and_leaves_no_process(
    short_root: Path, toy: Callable[..., Program], lines: list[LogLine]
) -> None:
    program = toy()
    seen: list[str] = []
    async with running_mesh(configured(short_root, program), [program], lines.append) as (mesh, supervisor):

        def show(states) -> None:
            seen.append(states["stt"].stage)

        states = await mesh.wait_until_ready(supervisor, show)
        mark = mesh.mesh_id
        assert len(find_mesh_processes(mark)) == 2
        (state,) = await supervisor.fetch_states()
        assert (state.name, state.state in {"STARTING", "RUNNING"}) == ("stt", True)
        with pytest.raises(AtCapacity, match=f"process {os.getpid()}"), mesh_lock(mesh.settings.run_folder):
            pytest.fail("two meshes held one folder")
    assert find_mesh_processes(mark) == set()
    assert seen[0] == "starting"
    assert states["stt"].engine == "toy"
    assert "began" in (short_root / "run/mesh.log").read_text()
    # The lock is released.
    with mesh_lock(short_root / "run"):
        pass


async def test_program_and_its_workers_do_not_get_the_secrets_of_others(
    short_root: Path, toy: Callable[..., Program], lines: list[LogLine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARED_SECRET", "hush")
    monkeypatch.setenv("LLM_OPENAI_API_KEY_FILE", "/hush")
    monkeypatch.setenv("STT_VOXTRAL_API_KEY", "mine")
    program = toy()
    async with running_mesh(configured(short_root, program), [program], lines.append) as (mesh, supervisor):
        await mesh.wait_until_ready(supervisor, lambda states: None)
        (state,) = await supervisor.fetch_states()
        environment = environment_of(state.pid)
    assert b"SHARED_SECRET=" in environment
    assert b"STT_VOXTRAL_API_KEY=mine" in environment
    assert not [entry for entry in environment if b"hush" in entry]


async def test_killed_program_is_restarted(short_root: Path, toy: Callable[..., Program], lines: list[LogLine]) -> None:
    program = toy()
    async with running_mesh(configured(short_root, program), [program], lines.append) as (mesh, supervisor):
        await mesh.wait_until_ready(supervisor, lambda states: None)
        (before,) = await supervisor.fetch_states()
        os.kill(before.pid, signal.SIGKILL)
        async with asyncio.timeout(30):
            while (after := (await supervisor.fetch_states())[0]).pid in {0, before.pid}:
                await asyncio.sleep(0.05)
        await mesh.wait_until_ready(supervisor, lambda states: None)
    assert after.pid != before.pid
    assert any("terminated by SIGKILL" in line.message for line in lines)


async def test_failing_program_is_named_with_its_last_output(
    short_root: Path, toy: Callable[..., Program], lines: list[LogLine]
) -> None:
    program = toy(BROKEN)
    async with running_mesh(configured(short_root, program), [program], lines.append) as (mesh, supervisor):
        with pytest.raises(ExceptionGroup) as raised:
            await mesh.wait_until_ready(supervisor, lambda states: None)
        assert any("no such model" in line for line in mesh.log.last_lines("stt", 20))
    cause = root_cause(raised.value)
    assert isinstance(cause, PeerFailed)
    assert cause.code == "mesh.service_failed"
    assert cause.message.startswith("stt ")


async def test_program_that_is_never_ready_times_out(
    short_root: Path, toy: Callable[..., Program], lines: list[LogLine]
) -> None:
    program = toy(SERVICE.replace('"200"', '"503"'))
    settings = configured(short_root, program, start_timeout_s=1.5)
    async with running_mesh(settings, [program], lines.append) as (mesh, supervisor):
        # The time until the program responds does not count towards the deadline.
        await until_answering(program.http_port)
        with pytest.raises(ExceptionGroup) as raised:
            await mesh.wait_until_ready(supervisor, lambda states: None)
    assert "stt is loading warming" in str(root_cause(raised.value))


async def test_program_that_ignores_sigterm_is_killed(
    short_root: Path, toy: Callable[..., Program], lines: list[LogLine]
) -> None:
    program = toy(STUBBORN)
    async with running_mesh(configured(short_root, program), [program], lines.append) as (mesh, supervisor):
        await mesh.wait_until_ready(supervisor, lambda states: None)
        mark = mesh.mesh_id
    assert find_mesh_processes(mark) == set()


async def test_program_with_a_grace_ends_before_the_others(
    short_root: Path, toy: Callable[..., Program], lines: list[LogLine]
) -> None:
    needed = toy()
    lingering = replace(toy("import os\n" + LINGERING + SERVICE, "vad"), grace_s=5.0)
    (short_root / "peer").write_text(str(needed.http_port))
    settings = configured(short_root, needed, vad_grpc_port=lingering.grpc_port, vad_http_port=lingering.http_port)
    async with running_mesh(settings, [needed, lingering], lines.append) as (mesh, _):
        await until_answering(lingering.http_port)
        await until_answering(needed.http_port)
        mark = mesh.mesh_id
    assert (short_root / "seen").read_text() == "200"
    assert find_mesh_processes(mark) == set()


async def test_programs_without_supervisor_are_killed(
    short_root: Path, toy: Callable[..., Program], lines: list[LogLine]
) -> None:
    program = toy()
    async with running_mesh(configured(short_root, program), [program], lines.append) as (mesh, supervisor):
        await mesh.wait_until_ready(supervisor, lambda states: None)
        mark = mesh.mesh_id
        os.kill(pid_of(mesh), signal.SIGKILL)
        with pytest.raises(EngineFailed, match="ended by itself"):
            await mesh.wait_until_ended()
        assert len(find_mesh_processes(mark)) == 1
    assert find_mesh_processes(mark) == set()


async def test_mesh_on_a_taken_port_starts_nothing(
    short_root: Path, toy: Callable[..., Program], lines: list[LogLine]
) -> None:
    program = toy()
    with socket.create_server(("127.0.0.1", program.grpc_port)), pytest.raises(InvalidRequest, match="is taken by"):
        async with running_mesh(configured(short_root, program), [program], lines.append):
            pytest.fail("it started")
    assert not (short_root / "run/supervisord.conf").exists()


async def test_a_folder_with_a_long_path_needs_no_long_socket(
    short_root: Path, toy: Callable[..., Program], lines: list[LogLine]
) -> None:
    program = toy()
    root = short_root / ("a long name of a folder, 100% ä " * 5).strip()
    root.mkdir()
    (short_root / "stt.py").rename(root / "stt.py")
    async with running_mesh(configured(root, program), [program], lines.append) as (mesh, supervisor):
        states = await mesh.wait_until_ready(supervisor, lambda states: None)
        assert states["stt"].engine == "toy"
        config = (root / "run/supervisord.conf").read_text()
        folder = Path(
            next(line for line in config.splitlines() if line.startswith("file = ")).partition("= ")[2]
        ).parent
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


@pytest.mark.ipv6
async def test_a_mesh_runs_on_an_ipv6_address(
    short_root: Path, toy: Callable[..., Program], lines: list[LogLine]
) -> None:
    server = "http.server.HTTPServer"
    source = SERVICE.replace(f"{server}((", f"{server}.address_family = 10\n{server}((")
    program = replace(toy(source.replace('"127.0.0.1"', '"::1"')), host="::1")
    settings = MeshSettings(
        root=short_root,
        host="::1",
        internal_host="::1",
        stt_grpc_port=program.grpc_port,
        stt_http_port=program.http_port,
        drain_s=0,
    )
    async with running_mesh(settings, [program], lines.append) as (mesh, supervisor):
        assert (await mesh.wait_until_ready(supervisor, lambda states: None))["stt"].engine == "toy"
