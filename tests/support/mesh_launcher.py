"""Starts real meshes: the launcher as its own process, real services on free ports, a knowledge folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from anchor_cli.settings import MeshSettings

PROJECT = Path(__file__).parents[2]
START_WITHIN_S = 90.0
STOP_WITHIN_S = 30.0
SERVICES = ("vad", "stt", "tts", "gpu", "orchestrator")


@dataclass(frozen=True)
class RunningMesh:
    """A mesh that serves. `folder` holds its knowledge and its run folder; `output` is the launcher's output."""

    settings: MeshSettings
    folder: Path
    launcher: subprocess.Popen[bytes]
    output: Path

    @property
    def url(self) -> str:
        return self.settings.audio_url

    @property
    def knowledge(self) -> Path:
        return self.folder / "knowledge"

    def processes(self) -> dict[int, str]:
        """Process → command line, of the launcher and of all processes it started, whatever their parent."""
        mark = f"ANCHOR_RUN_DIR={self.settings.run_folder}".encode()
        found: dict[int, str] = {}
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in environ.read_bytes().split(b"\0"):
                    command = (environ.parent / "cmdline").read_bytes()
                    found[int(environ.parent.name)] = command.replace(b"\0", b" ").decode()
            except OSError:
                continue  # The process ended meanwhile.
        return found

    def process_of(self, module: str) -> int:
        """The process `python -m module`; its workers have other command lines."""
        (pid,) = [pid for pid, command in self.processes().items() if command.strip().endswith(f"-m {module}")]
        return pid

    def log_lines(self, message: str) -> list[dict[str, object]]:
        """The records with this message in the combined log."""
        text = (self.settings.run_folder / "mesh.log").read_text("utf-8")
        records = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [record for record in records if record["message"] == message]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the launcher a signal, and return its exit status."""
        self.launcher.send_signal(number)
        return self.launcher.wait(STOP_WITHIN_S)


@contextmanager
def reserve_ports(count: int) -> Generator[list[int]]:
    """Free ports that the system assigns to no other program meanwhile; a server that binds one by number gets it."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for reserved in sockets:
            # Bound and never listening, so another socket with SO_REUSEADDR can bind the port.
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reserved.bind(("127.0.0.1", 0))
        yield [reserved.getsockname()[1] for reserved in sockets]


@contextmanager
def launch_mesh(**environment: str) -> Generator[RunningMesh]:
    """Start a mesh on the embedded profile with these environment variables, and stop it at the end."""
    names = [f"{service}_{api}_port" for service in SERVICES for api in ("grpc", "http")]
    # Not in pytest's folder, because the path of a socket has to be short.
    with tempfile.TemporaryDirectory(prefix="anchor-e2e-") as name, reserve_ports(len(names)) as free:
        folder = Path(name)
        shutil.copytree(PROJECT / "content/knowledge", folder / "knowledge")
        ports = dict(zip(names, free, strict=True))
        settings = MeshSettings(root=PROJECT, run_dir=folder / "run", **ports)
        process_env = {
            **os.environ,
            **{name.upper(): str(port) for name, port in ports.items()},
            "ANCHOR_RUN_DIR": str(settings.run_folder),
            "ANCHOR_DRAIN_S": "2",
            "STT_KNOWLEDGE_DIR": str(folder / "knowledge"),
            "ORCHESTRATOR_KNOWLEDGE_DIR": str(folder / "knowledge"),
            **environment,
        }
        output = folder / "launcher.txt"
        command = [sys.executable, "-m", "anchor_cli", "up", "--no-self-test"]
        with output.open("wb") as out:
            launcher = subprocess.Popen(command, cwd=PROJECT, env=process_env, stdout=out, stderr=subprocess.STDOUT)
        mesh = RunningMesh(settings, folder, launcher, output)
        try:
            _wait_until_serving(mesh)
            yield mesh
        finally:
            if launcher.poll() is None:
                mesh.stop()


def _wait_until_serving(mesh: RunningMesh) -> None:
    deadline_s = time.monotonic() + START_WITHIN_S
    while "serving at" not in mesh.output.read_text("utf-8", "replace"):
        if mesh.launcher.poll() is not None or time.monotonic() > deadline_s:
            pytest.fail(f"the mesh does not serve:\n{mesh.output.read_text('utf-8', 'replace')}")
        time.sleep(0.05)


@contextmanager
def launch_scripted_mesh(script: Path, **environment: str) -> Generator[RunningMesh]:
    """Start a mesh with engines that play the script at this path, on real voice activity detection."""
    engines = {"STT_ENGINE": "scripted", "TTS_ENGINE": "scripted", "ORCHESTRATOR_LLM": "scripted"}
    with launch_mesh(ANCHOR_SCRIPT=str(script), **engines, **environment) as mesh:
        yield mesh
