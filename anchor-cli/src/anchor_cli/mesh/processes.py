"""Processes and their descent: nothing that the command started may outlive it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

# Environment variable that all processes of one mesh carry, and nobody else.
MARK = "ANCHOR_MESH_ID"


def marked(mark: str) -> set[int]:
    """Living processes whose environment holds the mark of one mesh: all that it started, whoever their parent is."""
    wanted = f"{MARK}={mark}".encode()
    found: set[int] = set()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        # Gone meanwhile, or another user's. A zombie's environment is empty.
        with suppress(OSError):
            if wanted in environ.read_bytes().split(b"\0"):
                found.add(int(environ.parent.name))
    return found


def kill(pids: set[int]) -> None:
    """Kill `pids`; those already gone are no error."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def command_of(pid: int) -> str:
    """The command line of `pid`, shortened; empty when it is gone or not ours to see."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()[:120]
    return ""
