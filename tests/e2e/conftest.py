"""Real meshes: the launcher as its own process, real services on free ports, content of the test's own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from anchor_cli.settings import MeshSettings

PROJECT = Path(__file__).parents[2]
QUESTIONS = PROJECT / "content/questions"
SPEECH = PROJECT.parent / "shared/speech"
START_WITHIN_S = 90.0
STOP_WITHIN_S = 30.0
SERVICES = ("vad", "stt", "tts", "gpu", "orchestrator")


@dataclass(frozen=True)
class RunningMesh:
    """A mesh that serves. `folder` holds its knowledge and its run folder; `output` is what the launcher prints."""

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
        """Process → command line of the launcher and of all it started, whoever their parent is."""
        mark = f"ANCHOR_RUN_DIR={self.settings.run_folder}".encode()
        found: dict[int, str] = {}
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in environ.read_bytes().split(b"\0"):
                    command = (environ.parent / "cmdline").read_bytes()
                    found[int(environ.parent.name)] = command.replace(b"\0", b" ").decode()
            except OSError:
                continue  # It ended while we looked.
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
        """Tell the launcher to stop, and return its exit status."""
        self.launcher.send_signal(number)
        return self.launcher.wait(STOP_WITHIN_S)


@contextmanager
def _kept_ports(count: int) -> Generator[list[int]]:
    """Free ports that nobody else is given meanwhile, while a server that names one of them gets it."""
    with ExitStack() as stack:
        keepers = [stack.enter_context(socket.socket()) for _ in range(count)]
        for keeper in keepers:
            # Bound, and never listening: so another socket that says the same may be bound to the port.
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            keeper.bind(("127.0.0.1", 0))
        yield [keeper.getsockname()[1] for keeper in keepers]


@pytest.fixture
def kept_ports() -> Iterator[Callable[[int], list[int]]]:
    """Gives ports to what a test starts beside its mesh."""
    with ExitStack() as stack:
        yield lambda count: stack.enter_context(_kept_ports(count))


@contextmanager
def _launched(**environment: str) -> Generator[RunningMesh]:
    names = [f"{service}_{door}_port" for service in SERVICES for door in ("grpc", "http")]
    # Not below pytest's own folder: the path of a socket has to be short.
    with tempfile.TemporaryDirectory(prefix="anchor-e2e-") as name, _kept_ports(len(names)) as free:
        folder = Path(name)
        shutil.copytree(PROJECT / "content/knowledge", folder / "knowledge")
        ports = dict(zip(names, free, strict=True))
        settings = MeshSettings(root=PROJECT, run_dir=folder / "run", **ports)
        own = {
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
            launcher = subprocess.Popen(command, cwd=PROJECT, env=own, stdout=out, stderr=subprocess.STDOUT)
        mesh = RunningMesh(settings, folder, launcher, output)
        try:
            _await_serving(mesh)
            yield mesh
        finally:
            if launcher.poll() is None:
                mesh.stop()


def _await_serving(mesh: RunningMesh) -> None:
    deadline_s = time.monotonic() + START_WITHIN_S
    while "serving at" not in mesh.output.read_text("utf-8", "replace"):
        if mesh.launcher.poll() is not None or time.monotonic() > deadline_s:
            pytest.fail(f"the mesh does not serve:\n{mesh.output.read_text('utf-8', 'replace')}")
        time.sleep(0.05)


@pytest.fixture(scope="session")
def mesh() -> Iterator[RunningMesh]:
    """One mesh on the embedded profile, for all tests that leave it as they found it."""
    with _launched() as mesh:
        yield mesh


@pytest.fixture
def scripted_mesh(tmp_path: Path) -> Iterator[Callable[..., RunningMesh]]:
    """Starts a mesh whose engines play the script given, on real voice activity detection."""
    with ExitStack() as stack:

        def launch(script: str, **environment: str) -> RunningMesh:
            path = tmp_path / "script.toml"
            path.write_text(script, "utf-8")
            engines = {"STT_ENGINE": "scripted", "TTS_ENGINE": "scripted", "ORCHESTRATOR_LLM": "scripted"}
            return stack.enter_context(_launched(ANCHOR_SCRIPT=str(path), **engines, **environment))

        yield launch


@dataclass(frozen=True)
class Question:
    """A recorded question and the passage that answers it."""

    path: Path
    text: str
    topic: str


@pytest.fixture(scope="session")
def questions() -> list[Question]:
    listed = tomllib.loads((QUESTIONS / "questions.toml").read_text("utf-8"))["question"]
    return [Question(QUESTIONS / entry["file"], entry["text"], entry["topic"]) for entry in listed]


@pytest.fixture(scope="session")
def topic_of() -> Callable[[str], str]:
    """The passage that a reply was told from: the one that shares the longest sentence with it; "" for none."""
    passages = {path.stem: _normal(path.read_text("utf-8")) for path in (PROJECT / "content/knowledge").glob("*.md")}

    def topic(reply: str) -> str:
        sentences = [_normal(sentence) for sentence in re.split(r"(?<=[.!?])\s", reply)]
        told = {
            name: max((len(sentence) for sentence in sentences if sentence and sentence in text), default=0)
            for name, text in passages.items()
        }
        best = max(told, key=told.__getitem__)
        return best if told[best] > 20 else ""

    return topic


def _normal(text: str) -> str:
    return " ".join(text.split()).strip()


@pytest.fixture
def person() -> Callable[[str], Path]:
    """A recording of a person by its file's name."""
    if not SPEECH.is_dir():
        pytest.skip("needs recordings of people in ../shared/speech, which are not part of this project")
    return lambda name: SPEECH / name
