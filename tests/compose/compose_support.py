"""Starts the mesh of compose.yaml, on ports of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tomllib
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from testcontainers.compose import DockerCompose

PROJECT = Path(__file__).parents[2]
NAME = "anchor-test"
SERVICES = ("vad-service", "stt-service", "tts-service", "gpu-monitor", "orchestrator")
# Fetches the models, and ends.
MODELS = "models"
# Measure the machine, and end.
MEASUREMENTS = ("measure-stt", "measure-tts")
HTTP_PORT_SETTINGS = {
    "orchestrator": "ORCHESTRATOR_HTTP_PORT",
    "stt-service": "STT_HTTP_PORT",
    "vad-service": "VAD_HTTP_PORT",
    "tts-service": "TTS_HTTP_PORT",
    "gpu-monitor": "GPU_HTTP_PORT",
}


def docker(*arguments: str) -> str:
    """Run a docker command and return its output. Fails the test when the command fails."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr.strip()}"
    return done.stdout.strip()


def free_ports(count: int) -> list[int]:
    with ExitStack() as probes:
        servers = [probes.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in servers]


@dataclass(frozen=True)
class Containers:
    """The mesh in containers. `ports` are the published HTTP ports; `states` the states by inspect after the start."""

    ports: dict[str, int]
    grpc_port: int
    states: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.ports['orchestrator']}/ws/audio"

    def container(self, service: str) -> str:
        return f"{NAME}-{service}-1"

    def inspect(self, service: str) -> dict[str, Any]:
        return json.loads(docker("inspect", self.container(service)))[0]

    def python(self, service: str, code: str) -> str:
        """Run `code` in the service's container and return its output."""
        return docker("exec", self.container(service), "python", "-c", code)

    def crash(self, service: str) -> None:
        """Kill the service from inside, like a crash: Docker does not restart a container killed by a command."""
        code = (
            "import os, pathlib, signal\n"
            "for at in pathlib.Path('/proc').glob('[0-9]*/cmdline'):\n"
            f"    if at.parent.name != '1' and at.read_bytes().endswith(b'-m\\0{service.replace('-', '_')}\\0'):\n"
            "        os.kill(int(at.parent.name), signal.SIGKILL)\n"
        )
        command = ["docker", "exec", self.container(service), "python", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        # The container may end before the command does.
        assert done.returncode in {0, 137}, done.stderr

    def is_healthy(self, service: str) -> bool:
        return self.inspect(service)["State"].get("Health", {}).get("Status") == "healthy"


def needs_docker() -> None:
    """Skips where containers cannot run."""
    if shutil.which("docker") is None:
        pytest.skip("needs Docker, which is not installed")
    found = subprocess.run(["docker", "info"], capture_output=True, text=True, timeout=30, check=False)
    if found.returncode != 0:
        pytest.skip("needs a Docker engine that runs: `docker info` fails")


def parse_time(text: str) -> datetime:
    """Parse a time of Docker, which has nanoseconds."""
    head, _, zone = text.partition(".")
    return datetime.fromisoformat(f"{head}.{zone[:6].rstrip('Z').ljust(6, '0')}+00:00")


@pytest.fixture(scope="session")
def containers() -> Iterator[Containers]:
    """One mesh for all tests that leave it unchanged."""
    needs_docker()
    *http, grpc_port = free_ports(len(HTTP_PORT_SETTINGS) + 1)
    ports = dict(zip(HTTP_PORT_SETTINGS, http, strict=True))
    settings = {HTTP_PORT_SETTINGS[service]: str(port) for service, port in ports.items()}
    settings |= {"COMPOSE_PROJECT_NAME": NAME, "ORCHESTRATOR_GRPC_PORT": str(grpc_port), "ANCHOR_PROFILE": "embedded"}
    # Overrides a developer's .env.
    settings |= {"COMPOSE_PROFILES": "", "SHARED_SECRET": "", "ANCHOR_SITE": "localhost"}
    # The default engines, and their models from this project's folder, which set-up has filled.
    settings |= {"ANCHOR_MODELS": "default", "ANCHOR_MODELS_OWN_DIR": str(PROJECT / "models")}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        compose = DockerCompose(PROJECT, build=True, wait=True)
        # Removes the containers of a killed run.
        compose.stop()
        with compose:
            mesh = Containers(ports, grpc_port)
            mesh.states.update(
                {service: mesh.inspect(service)["State"] for service in (MODELS, *MEASUREMENTS, *SERVICES)}
            )
            yield mesh


@contextmanager
def running(command: list[str], log: Path, **environment: str) -> Generator[subprocess.Popen[bytes]]:
    """Run a program on this machine until the context ends."""
    with log.open("wb") as out:
        program = subprocess.Popen(command, env={**os.environ, **environment}, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield program
        finally:
            program.terminate()
            program.wait(10)


@dataclass(frozen=True)
class Question:
    """A recorded question, what it says, and the passage that answers it."""

    path: Path
    text: str
    passage: str

    def is_answered_by(self, reply: str) -> bool:
        """Whether the reply contains a sentence of the passage."""
        spoken, known = " ".join(reply.split()), " ".join(self.passage.split())
        return any(len(sentence) > 20 and sentence in known for sentence in spoken.split(". "))


@pytest.fixture(scope="session")
def question() -> Question:
    folder = PROJECT / "content/questions"
    entry = tomllib.loads((folder / "questions.toml").read_text("utf-8"))["question"][0]
    passage = (PROJECT / f"content/knowledge/{entry['topic']}.md").read_text("utf-8")
    return Question(folder / entry["file"], entry["text"], passage)
