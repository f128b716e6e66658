"""The faults: each is a context that breaks something in a mesh, and at its end lets go of it without a repair."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from fault_proxy import FaultProxy
from faulty_mesh import FaultyMesh
from mesh_launcher import SERVICES
from message_proxy import Mangle
from service_kit.tasks import background
from stand_in_peers import stand_in_peer

# Slow: the process runs for one part of ten.
SLOW_RUN_S, SLOW_STOP_S = 0.02, 0.18
START_WITHIN_S = 10.0
# The orchestrator opens a lost stream again within a second: by then the stand-in has it.
TAKEN_UP_S = 1.2
MODULES = {
    "vad": "vad_service",
    "stt": "stt_service",
    "tts": "tts_service",
    "gpu": "gpu_monitor",
    "orchestrator": "orchestrator",
}

Injection = Callable[[FaultyMesh], AbstractAsyncContextManager[None]]


def _send(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        # A process that another fault ended has been replaced.
        with suppress(ProcessLookupError):
            os.kill(pid, number)


async def _process_of(mesh: FaultyMesh, service: str) -> int:
    """The process of a service; waits while the supervisor starts it. Raises `TimeoutError`."""
    async with asyncio.timeout(START_WITHIN_S):
        while True:
            with suppress(ValueError):
                return mesh.mesh.process_of(MODULES[service])
            await asyncio.sleep(0.05)


# Processes ---------------------------------------------------------------------------------------------------------


def killed(service: str, number: signal.Signals = signal.SIGKILL) -> Injection:
    """End the process; the supervisor starts another."""

    @asynccontextmanager
    async def inject(mesh: FaultyMesh) -> AsyncGenerator[None]:
        _send([await _process_of(mesh, service)], number)
        yield

    return inject


def all_killed() -> Injection:
    """Kill all five processes at once."""

    @asynccontextmanager
    async def inject(mesh: FaultyMesh) -> AsyncGenerator[None]:
        _send([await _process_of(mesh, service) for service in SERVICES], signal.SIGKILL)
        yield

    return inject


def stopped(service: str) -> Injection:
    """Stop the process without ending it."""

    @asynccontextmanager
    async def inject(mesh: FaultyMesh) -> AsyncGenerator[None]:
        async with _stopped([await _process_of(mesh, service)]):
            yield

    return inject


def workers_stopped(worker: str) -> Injection:
    """Stop the worker processes of a service, not the service."""

    @asynccontextmanager
    async def inject(mesh: FaultyMesh) -> AsyncGenerator[None]:
        pids = mesh.workers_of(worker)
        assert pids, f"no process runs {worker}"
        async with _stopped(pids):
            yield

    return inject


def workers_killed(worker: str) -> Injection:
    """Kill the worker processes of a service, not the service."""

    @asynccontextmanager
    async def inject(mesh: FaultyMesh) -> AsyncGenerator[None]:
        pids = mesh.workers_of(worker)
        assert pids, f"no process runs {worker}"
        _send(pids, signal.SIGKILL)
        yield

    return inject


@asynccontextmanager
async def _stopped(pids: Sequence[int]) -> AsyncGenerator[None]:
    _send(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        _send(pids, signal.SIGCONT)


def slow(service: str) -> Injection:
    """Let the process run for a tenth of the time."""

    @asynccontextmanager
    async def inject(mesh: FaultyMesh) -> AsyncGenerator[None]:
        pid = await _process_of(mesh, service)
        try:
            async with background(_run_seldom(pid), "slow process"):
                yield
        finally:
            _send([pid], signal.SIGCONT)

    return inject


async def _run_seldom(pid: int) -> None:
    while True:
        _send([pid], signal.SIGSTOP)
        await asyncio.sleep(SLOW_STOP_S)
        _send([pid], signal.SIGCONT)
        await asyncio.sleep(SLOW_RUN_S)


def blocked(service: str, for_s: float) -> Injection:
    """Block the event loop while the process's other threads go on, those of gRPC among them."""

    @asynccontextmanager
    async def inject(mesh: FaultyMesh) -> AsyncGenerator[None]:
        mesh.set_fault_values(block_s=for_s)
        _send([await _process_of(mesh, service)], signal.SIGUSR1)
        yield

    return inject


# The machine -------------------------------------------------------------------------------------------------------


def clock_set(by_s: float) -> Injection:
    """Set the wall clock that all processes of the mesh read in Python, and set it right again."""

    @asynccontextmanager
    async def inject(mesh: FaultyMesh) -> AsyncGenerator[None]:
        pids = [await _process_of(mesh, service) for service in MODULES]
        try:
            mesh.set_fault_values(clock_step_s=by_s)
            _send(pids, signal.SIGUSR2)
            yield
        finally:
            mesh.set_fault_values(clock_step_s=0.0)
            _send(pids, signal.SIGUSR2)

    return inject


def disk_full() -> Injection:
    """Refuse the orchestrator every write to a file: a limit of 0 bytes on files stands in for a full disk."""

    @asynccontextmanager
    async def inject(mesh: FaultyMesh) -> AsyncGenerator[None]:
        pid = await _process_of(mesh, "orchestrator")
        limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        try:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, limits[1]))
            yield
        finally:
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)

    return inject


# Connections -------------------------------------------------------------------------------------------------------


def _on_line(line_of: Callable[[FaultyMesh], FaultProxy], damage: Callable[[FaultProxy], None]) -> Injection:
    """Damage a line through its proxy, and mend it."""

    @asynccontextmanager
    async def inject(mesh: FaultyMesh) -> AsyncGenerator[None]:
        line = line_of(mesh)
        try:
            mesh.thread.call(lambda: damage(line))
            yield
        finally:
            mesh.thread.call(line.mend)

    return inject


def _to_service(service: str) -> Callable[[FaultyMesh], FaultProxy]:
    return lambda mesh: mesh.links[service]


def _to_client(mesh: FaultyMesh) -> FaultProxy:
    return mesh.client_line


def link_cut(service: str) -> Injection:
    """Tear down the connection to a service, and refuse new ones."""
    return _on_line(_to_service(service), lambda line: line.cut(refuse=True))


def link_frozen(service: str) -> Injection:
    """Let the connection to a service stand, and pass nothing."""
    return _on_line(_to_service(service), lambda line: line.freeze(new=True))


def link_delayed(service: str, by_s: float) -> Injection:
    """Delay the bytes to and from a service."""
    return _on_line(_to_service(service), lambda line: line.delay(by_s))


def client_cut() -> Injection:
    """Tear down the client's connection, and refuse it for a while."""
    return _on_line(_to_client, lambda line: line.cut(refuse=True))


def client_delayed(by_s: float) -> Injection:
    """Delay the bytes to and from the client."""
    return _on_line(_to_client, lambda line: line.delay(by_s))


def client_half_open() -> Injection:
    """Leave the client's connection standing and dead; a new one works."""

    @asynccontextmanager
    async def inject(mesh: FaultyMesh) -> AsyncGenerator[None]:
        mesh.thread.call(lambda: mesh.client_line.freeze(new=False))
        yield

    return inject


def frames_mangled(mangle: Callable[[], Mangle]) -> Injection:
    """Lose, double or swap microphone frames."""

    @asynccontextmanager
    async def inject(mesh: FaultyMesh) -> AsyncGenerator[None]:
        try:
            mesh.client_messages.mangle = mangle()
            yield
        finally:
            mesh.client_messages.mangle = None

    return inject


# Peers that answer nonsense ----------------------------------------------------------------------------------------


def replaced(service: str, behaviour: str) -> Injection:
    """Let a stand-in peer answer in the place of a service."""

    @asynccontextmanager
    async def inject(mesh: FaultyMesh) -> AsyncGenerator[None]:
        link, serving = mesh.links[service], stand_in_peer(service, behaviour)
        port = mesh.thread.run(serving.__aenter__())
        try:
            mesh.thread.call(lambda: link.divert(port))
            await asyncio.sleep(TAKEN_UP_S)
            yield
        finally:
            mesh.thread.call(lambda: link.divert(mesh.service_port(service)))
            mesh.thread.run(serving.__aexit__(None, None, None))

    return inject


def llm_failing(fault: str) -> Injection:
    """Let the language model fail."""

    @asynccontextmanager
    async def inject(mesh: FaultyMesh) -> AsyncGenerator[None]:
        try:
            mesh.llm.fault = fault
            yield
        finally:
            mesh.llm.fault = None

    return inject
