"""vLLM's own server on the processor, out of an environment of its own (`.venv-vllm`)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

PYTHON = Path(__file__).parents[2] / ".venv-vllm/bin/python"
STARTS_WITHIN_S = 300
ENDS_WITHIN_S = 60
CORE = "VLLM::EngineCore"
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_PLUGINS": "",
    "OMP_NUM_THREADS": "1",
    # GiB for keys and values, of all requests.
    "VLLM_CPU_KVCACHE_SPACE": "1",
}
FLAGS = (
    *("--tokenizer-mode", "mistral", "--config-format", "mistral", "--load-format", "mistral"),
    *("--dtype", "float32", "--enforce-eager", "--max-model-len", "2048", "--max-num-seqs", "4"),
    *("--limit-mm-per-prompt", '{"audio":1}', "--mm-processor-cache-gb", "0"),
    *("--host", "127.0.0.1", "--disable-uvicorn-access-log", "--enable-server-load-tracking"),
)


def needs_vllm() -> pytest.MarkDecorator:
    """Skips where the environment is not there."""
    return pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-vllm: `make test-engines` makes it")


class VllmServer:
    """One server with its processes, on a port that stays the same when it is started again."""

    def __init__(self, folder: Path, name: str, log: Path, hidden: str = "") -> None:
        """`hidden` is a package that its processes shall not find."""
        self.name = name
        self._hidden = hidden
        self._log = log
        self._folder = folder
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self._port: int = free.getsockname()[1]
        self.root = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start its processes; it answers later."""
        command = [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", *FLAGS]
        command += ["--model", str(self._folder), "--served-model-name", self.name, "--port", str(self._port)]
        environment = {**os.environ, **ENVIRONMENT}
        if self._hidden:
            # Python imports it at the start of each process; an entry of None is a package that is not there.
            start = self._log.parent / "start"
            start.mkdir(exist_ok=True)
            (start / "sitecustomize.py").write_text(f"import sys\nsys.modules[{self._hidden!r}] = None\n")
            environment["PYTHONPATH"] = str(start)
        with self._log.open("ab") as log:
            # A session and group of its own, by which all that it forks is found and ended.
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)

    def until_there(self) -> float:
        """Wait until it answers; return the seconds that took."""
        assert self._process is not None
        began_s = time.monotonic()
        while self._process.poll() is None and time.monotonic() - began_s < STARTS_WITHIN_S:
            try:
                if httpx.get(f"{self.root}/health", timeout=5, trust_env=False).is_success:
                    return time.monotonic() - began_s
            except httpx.TransportError:
                time.sleep(0.2)
        pytest.fail(f"vLLM did not start: {self.said()[-4000:]}")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let it take requests and compute nothing: how fast it writes depends on the machine."""
        core = self._core()
        os.kill(core, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(core, signal.SIGCONT)

    def kill_core(self) -> None:
        """End the process that computes, as a fault of the GPU would."""
        os.kill(self._core(), signal.SIGKILL)

    def under_way(self) -> int:
        """Requests that the server has accepted and not answered."""
        return int(httpx.get(f"{self.root}/load", timeout=10, trust_env=False).json()["server_load"])

    def until_gone(self, within_s: float = ENDS_WITHIN_S) -> None:
        """Wait until it has noticed by itself that it is broken, and ended."""
        assert self._process is not None
        self._process.wait(within_s)
        until_s = time.monotonic() + ENDS_WITHIN_S
        while self._processes():
            assert time.monotonic() < until_s, "processes of vLLM outlived it"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it and all its processes."""
        assert self._process is not None
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(ENDS_WITHIN_S)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.until_gone()

    def metric(self, name: str) -> float:
        """A number of its metrics; where it is counted apart, the sum."""
        lines = httpx.get(f"{self.root}/metrics", timeout=10, trust_env=False).text.splitlines()
        values = [float(line.split()[-1]) for line in lines if line.startswith(name + "{")]
        assert values, f"vLLM does not measure {name}"
        return sum(values)

    def said(self) -> str:
        """Its whole log: how much it says while it stops depends on the machine."""
        return self._log.read_text(errors="replace")

    def _core(self) -> int:
        (core,) = (pid for pid in self._processes() if _title(pid) == CORE)
        return core

    def _processes(self) -> list[int]:
        """All processes of its session that have not ended."""
        assert self._process is not None
        found: list[int] = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                state, _, _, session, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(session) == self._process.pid and state != "Z":
                found.append(int(entry.name))
        return found


def running(folder: Path, name: str) -> Iterator[VllmServer]:
    """A server of the model in `folder`, answering; it is ended with everything that it started."""
    server = VllmServer(folder, name, folder.with_suffix(".log"))
    server.start()
    try:
        server.until_there()
        yield server
    finally:
        server.stop()


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
