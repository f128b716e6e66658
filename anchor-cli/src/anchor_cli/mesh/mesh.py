"""A running mesh: supervisord and all it supervises, from the check of the ports to the last process gone."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from service_kit.errors import AtCapacity, EngineFailed, InvalidRequest

from anchor_cli.mesh.log import LogLine, MeshLog
from anchor_cli.mesh.ports import taken_ports
from anchor_cli.mesh.processes import MARK, kill, marked
from anchor_cli.mesh.programs import Program, environment
from anchor_cli.mesh.readiness import ServiceState, Show, wait_until_ready
from anchor_cli.mesh.supervisor_client import SupervisorClient
from anchor_cli.mesh.supervisor_config import STOP_MARGIN_S, SupervisorFiles, render
from anchor_cli.settings import MeshSettings

# What supervisord takes by itself to notice a signal and the ends of its programs.
SUPERVISOR_STOP_S = 4.0


class Mesh:
    """A mesh whose supervisor has been started; made by `running_mesh`."""

    def __init__(
        self,
        settings: MeshSettings,
        members: Sequence[Program],
        process: asyncio.subprocess.Process,
        log: MeshLog,
        mark: str,
    ) -> None:
        self.settings = settings
        self.programs = members
        self.log = log
        self._process = process
        self.mark = mark

    async def until_ready(self, supervisor: SupervisorClient, show: Show) -> Mapping[str, ServiceState]:
        """Wait until every service is ready; raises as `wait_until_ready` does, and when the supervisor ends."""
        settings = self.settings
        async with asyncio.TaskGroup() as tasks:
            ended = tasks.create_task(self.until_ended())
            states = await wait_until_ready(
                self.programs, settings.peer_host, supervisor, settings.start_timeout_s, show
            )
            ended.cancel()
        return states

    async def until_ended(self) -> None:
        """Wait for what must not happen while the mesh is wanted. Raises `EngineFailed` when it does."""
        code = await self._process.wait()
        raise EngineFailed("mesh.supervisor_ended", f"the supervisor ended by itself (exit status {code})")

    async def read_output(self) -> None:
        """Carry the supervisor's output to the log until it ends."""
        if (output := self._process.stdout) is not None:
            while piece := await output.read(65_536):
                self.log.write(piece)

    async def stop(self) -> None:
        """Stop every program, politely first; when this returns, none is left."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.settings.drain_s + STOP_MARGIN_S + SUPERVISOR_STOP_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
        # Whoever is still here lost the supervisor, or outlived its patience.
        while left := marked(self.mark):
            kill(left)
            await asyncio.sleep(0.02)
        await self._process.wait()


@contextmanager
def only_mesh(folder: Path) -> Generator[None]:
    """Hold the lock of `folder`. Raises `AtCapacity` when another process holds it; it is free when that one dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "anchor.lock").open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise AtCapacity(
                "mesh.already_running", f"a mesh already runs here (process {owner}); stop it with Ctrl-C there first"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def check_ports(host: str, members: Sequence[Program]) -> None:
    """Raise `InvalidRequest` that names every port which is taken, and by whom."""
    wanted = {
        port: f"{program.name.upper()}_{door}_PORT"
        for program in members
        for port, door in ((program.grpc_port, "GRPC"), (program.http_port, "HTTP"))
    }
    if taken := taken_ports(host, sorted(wanted)):
        lines = "\n".join(f"  {port} (another: {wanted[port.port]}=...)" for port in taken)
        raise InvalidRequest("mesh.port_taken", f"cannot start:\n{lines}")


@asynccontextmanager
async def running_mesh(
    settings: MeshSettings, members: Sequence[Program], show: Callable[[LogLine], None]
) -> AsyncGenerator[tuple[Mesh, SupervisorClient]]:
    """Start the mesh and stop it in the end, whatever happens between; `show` gets warnings and errors."""
    folder = settings.run_folder
    with only_mesh(folder):
        check_ports(settings.host, members)
        files = SupervisorFiles(folder, secrets.token_hex(16))
        _write_config(settings, members, files)
        mark = secrets.token_hex(8)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "anchor_cli.mesh.supervisor_process", str(os.getpid()), "-c", str(files.config)),
            cwd=settings.root,
            env={**environment(settings, os.environ), MARK: mark},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        mesh = Mesh(settings, members, process, MeshLog(folder / "mesh.log", show), mark)
        supervisor = SupervisorClient(files)
        reading = asyncio.create_task(mesh.read_output(), name="mesh output")
        try:
            yield mesh, supervisor
        finally:
            await mesh.stop()
            await supervisor.close()
            await reading
            mesh.log.close()


def _write_config(settings: MeshSettings, members: Sequence[Program], files: SupervisorFiles) -> None:
    text = render(
        members,
        files,
        python=sys.executable,
        root=settings.root.resolve(),
        drain_s=settings.drain_s,
        as_root=os.geteuid() == 0,
    )
    # It holds the secret of the socket.
    files.config.touch(mode=0o600)
    files.config.write_text(text, "utf-8")
