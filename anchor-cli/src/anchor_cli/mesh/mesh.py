"""A running mesh: supervisord and its programs, from the port check until the last process has ended."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from xmlrpc.client import Fault

import httpx
from service_kit.errors import AtCapacity, EngineFailed, InvalidRequest

from anchor_cli.mesh.log import LogLine, MeshLog
from anchor_cli.mesh.ports import find_taken_ports
from anchor_cli.mesh.processes import MESH_ID_VARIABLE, find_mesh_processes, kill_processes
from anchor_cli.mesh.programs import Program, ports_by_host, program_environment
from anchor_cli.mesh.readiness import ServiceState, ShowStates, wait_until_ready
from anchor_cli.mesh.supervisor_client import SupervisorClient
from anchor_cli.mesh.supervisor_config import STOP_MARGIN_S, SupervisorFiles, render_config
from anchor_cli.settings import MeshSettings

# A socket's path has at most 107 bytes; supervisord binds `supervisor.sock.` and its process id first.
MAX_SOCKET_FOLDER_BYTES = 80
# Time supervisord needs to notice a signal and the end of its programs.
SUPERVISOR_STOP_S = 4.0

log = logging.getLogger(__name__)


class Mesh:
    """A mesh whose supervisor is running; created by `running_mesh`."""

    def __init__(
        self,
        settings: MeshSettings,
        members: Sequence[Program],
        process: asyncio.subprocess.Process,
        log: MeshLog,
        mesh_id: str,
    ) -> None:
        self.settings = settings
        self.programs = members
        self.log = log
        self._process = process
        self.mesh_id = mesh_id

    async def wait_until_ready(self, supervisor: SupervisorClient, show: ShowStates) -> Mapping[str, ServiceState]:
        """Wait until every service is ready. Raises like `readiness.wait_until_ready`, and when the supervisor ends."""
        settings = self.settings
        async with asyncio.TaskGroup() as tasks:
            ended = tasks.create_task(self.wait_until_ended())
            states = await wait_until_ready(self.programs, supervisor, settings.start_timeout_s, show)
            ended.cancel()
        return states

    async def wait_until_ended(self) -> None:
        """Wait for the supervisor to end unexpectedly, then raise `EngineFailed`."""
        code = await self._process.wait()
        raise EngineFailed("mesh.supervisor_ended", f"the supervisor ended by itself (exit status {code})")

    async def forward_output(self) -> None:
        """Forward the supervisor's output to the log until it ends."""
        if (output := self._process.stdout) is not None:
            while piece := await output.read(65_536):
                self.log.write_output(piece)

    async def stop(self, supervisor: SupervisorClient) -> None:
        """Stop every program, by SIGTERM first and then by SIGKILL; no process is left on return.

        Programs with a grace end first, while those that they need still work.
        """
        if self._process.returncode is None:
            await self._stop_with_grace(supervisor)
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.settings.drain_s + STOP_MARGIN_S + SUPERVISOR_STOP_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
        # Processes that lost their supervisor or outlived its stop timeout.
        while left := find_mesh_processes(self.mesh_id):
            kill_processes(left)
            await asyncio.sleep(0.02)
        await self._process.wait()

    async def _stop_with_grace(self, supervisor: SupervisorClient) -> None:
        for program in self.programs:
            if not program.grace_s:
                continue
            within_s = self.settings.drain_s + program.grace_s + STOP_MARGIN_S + SUPERVISOR_STOP_S
            try:
                await supervisor.stop_program(program.name, within_s)
            except (httpx.HTTPError, Fault) as error:
                # It is stopped with the others.
                log.warning("program not stopped by itself", extra={"program": program.name, "reason": str(error)})


@contextmanager
def mesh_lock(folder: Path) -> Generator[None]:
    """Hold the lock file in `folder`; the lock ends with this process.

    Raises `AtCapacity` while another process holds it, and `InvalidRequest` when the folder cannot be used.
    """
    with _usable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "anchor.lock").open("a+", encoding="ascii")
    with file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise AtCapacity(
                "mesh.already_running", f"a mesh is already running here (process {owner}); stop it with Ctrl-C first"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def _usable(folder: Path) -> Generator[None]:
    """Raise `InvalidRequest` when the work within cannot use the run folder."""
    try:
        yield
    except OSError as error:
        reason = f"the run folder {folder} cannot be used ({error.strerror}); ANCHOR_RUN_DIR names another"
        raise InvalidRequest("mesh.run_folder", reason) from error


def require_startable(settings: MeshSettings, members: Sequence[Program]) -> None:
    """Check what can be before a start that takes long.

    Raises `AtCapacity` while a mesh runs here, `InvalidRequest` for taken ports and folders that cannot be used.
    """
    if not settings.root.is_dir():
        raise InvalidRequest("mesh.no_root", f"{settings.root} is no folder; ANCHOR_ROOT names the project's")
    with mesh_lock(settings.run_folder):
        require_free_ports(members)


def require_free_ports(members: Sequence[Program]) -> None:
    """Raise `InvalidRequest` with every taken port and its owner, if there are any."""
    settings_names = {port: setting for program in members for port, setting in program.ports.items()}
    if taken := [port for host, ports in ports_by_host(members).items() for port in find_taken_ports(host, ports)]:
        lines = "\n".join(f"  {port} (to change it: {settings_names[port.port]}=...)" for port in taken)
        raise InvalidRequest("mesh.port_taken", f"cannot start:\n{lines}")


@asynccontextmanager
async def running_mesh(
    settings: MeshSettings, members: Sequence[Program], show: Callable[[LogLine], None]
) -> AsyncGenerator[tuple[Mesh, SupervisorClient]]:
    """Start the mesh, and stop it on exit in any case; `show` receives warnings and errors."""
    folder = settings.run_folder
    with mesh_lock(folder):
        require_free_ports(members)
        files = SupervisorFiles(folder, secrets.token_hex(16), _short_socket_folder(folder))
        with _usable(folder):
            _write_config(settings, members, files)
            mesh_log = MeshLog(folder / "mesh.log", show)
        mesh_id = secrets.token_hex(8)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "anchor_cli.mesh.supervisor_process", str(os.getpid()), "-c", str(files.config)),
            cwd=settings.root,
            env={**program_environment(settings, os.environ), MESH_ID_VARIABLE: mesh_id},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        mesh = Mesh(settings, members, process, mesh_log, mesh_id)
        supervisor = SupervisorClient(files)
        reading = asyncio.create_task(mesh.forward_output(), name="mesh output")
        try:
            yield mesh, supervisor
        finally:
            await mesh.stop(supervisor)
            await supervisor.close()
            await reading
            mesh.log.close()
            if files.socket_folder is not None:
                shutil.rmtree(files.socket_folder, ignore_errors=True)


def _short_socket_folder(folder: Path) -> Path | None:
    """A new private folder for the control socket where its path in `folder` would be too long; else None."""
    if len(os.fsencode(folder)) <= MAX_SOCKET_FOLDER_BYTES:
        return None
    base = tempfile.gettempdir()
    short = base if len(os.fsencode(base)) <= MAX_SOCKET_FOLDER_BYTES // 2 else "/tmp"  # noqa: S108
    return Path(tempfile.mkdtemp(prefix="anchor-", dir=short))


def _write_config(settings: MeshSettings, members: Sequence[Program], files: SupervisorFiles) -> None:
    text = render_config(
        members,
        files,
        python=sys.executable,
        root=settings.root.resolve(),
        drain_s=settings.drain_s,
        as_root=os.geteuid() == 0,
    )
    # The file contains the socket's password.
    files.config.touch(mode=0o600)
    files.config.write_text(text, "utf-8")
