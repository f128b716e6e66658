"""Starts meshes of real processes on free ports: with models that play a script, or with real engines."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import AsyncGenerator, Generator, Mapping, Set
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from anchor_cli.mesh.log import LogLine
from anchor_cli.mesh.mesh import running_mesh
from anchor_cli.mesh.programs import mesh_programs
from anchor_cli.mesh.supervisor_client import SupervisorClient
from anchor_cli.settings import MeshSettings
from report import LAUNCHER
from vad_service.settings import VadSettings

PROJECT = Path(__file__).parents[2]
# The product's default turn-end predictor.
PREDICTOR: str = VadSettings.model_fields["turn_end_predictor"].default
# Keeps the log of the last mesh.
RUN_DIR = Path("run/bench")
SERVICES = ("vad", "stt", "tts", "gpu", "orchestrator")
ENVIRONMENT = {
    "STT_ENGINE": "scripted",
    "TTS_ENGINE": "scripted",
    "ORCHESTRATOR_LLM": "scripted",
    "STT_MAX_STREAMS": "1024",
    "TTS_MAX_STREAMS": "1024",
    "VAD_MAX_STREAMS": "1024",
    "MAX_CONCURRENT_SESSIONS": "1024",
    "ANCHOR_LOG_LEVEL": "WARNING",
}


@dataclass(frozen=True, slots=True)
class ServingMesh:
    """A ready mesh: its session URL, the process of each service and of the launcher at its start, its supervisor."""

    url: str
    roots: dict[str, int]
    settings: MeshSettings
    supervisor: SupervisorClient


@contextmanager
def _own_store() -> Generator[None]:
    """Meshes started inside store their conversations as they do by default, but in a file that is deleted."""
    with TemporaryDirectory(prefix="anchor-bench-store-") as folder:
        os.environ["ORCHESTRATOR_STORE"] = f"sqlite:///{folder}/conversations.db"
        yield


@contextmanager
def on_cores(cores: Set[int]) -> Generator[None]:
    """Processes started inside run on `cores`, and so do their children."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


@asynccontextmanager
async def serving_mesh(
    script: Path, cores: Set[int], predictor: str = PREDICTOR, multiplex: bool = True
) -> AsyncGenerator[ServingMesh]:
    """Run a mesh on `cores` that plays `script`; `predictor` predicts the ends of turns.

    Without `multiplex`, each call between the services has a gRPC stream of its own.
    """
    # The services inherit the launcher's environment.
    os.environ.update(ENVIRONMENT, VAD_TURN_END_PREDICTOR=predictor, ANCHOR_MULTIPLEX=str(multiplex).lower())
    settings = MeshSettings(root=PROJECT, run_dir=RUN_DIR, script=script, **_free_ports())
    async with _started_mesh(settings, cores) as mesh:
        yield mesh


@asynccontextmanager
async def real_mesh(environment: Mapping[str, str]) -> AsyncGenerator[ServingMesh]:
    """Run a mesh on all cores with the engines that the settings in `environment` choose."""
    os.environ.update(environment)
    settings = MeshSettings(root=PROJECT, run_dir=RUN_DIR, **_free_ports())
    async with _started_mesh(settings, os.sched_getaffinity(0)) as mesh:
        yield mesh


@asynccontextmanager
async def _started_mesh(settings: MeshSettings, cores: Set[int]) -> AsyncGenerator[ServingMesh]:
    with _own_store(), ExitStack() as started:
        started.enter_context(on_cores(cores))
        async with running_mesh(settings, mesh_programs(settings), _print_error) as (mesh, supervisor):
            await mesh.wait_until_ready(supervisor, lambda states: None)
            started.close()
            roots = {state.name: state.pid for state in await supervisor.fetch_states()}
            yield ServingMesh(settings.audio_url, {**roots, LAUNCHER: os.getpid()}, settings, supervisor)


def _free_ports() -> dict[str, Any]:
    names = [f"{service}_{api}_port" for service in SERVICES for api in ("grpc", "http")]
    with ExitStack() as probes:
        servers = [probes.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        return {name: server.getsockname()[1] for name, server in zip(names, servers, strict=True)}


def _print_error(line: LogLine) -> None:
    """Print errors. Warnings, of which an overloaded mesh has many, stay in the log."""
    if line.level in {"error", "critical"}:
        sys.stderr.write(f"{line.text}\n")
