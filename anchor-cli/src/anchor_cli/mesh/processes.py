"""Finds and kills the processes of a mesh, so that none outlives the command."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

# Environment variable that identifies all processes of one mesh.
MESH_ID_VARIABLE = "ANCHOR_MESH_ID"


def find_mesh_processes(mesh_id: str) -> set[int]:
    """Pids of all processes whose environment has this mesh id, whatever their parent is."""
    entry = f"{MESH_ID_VARIABLE}={mesh_id}".encode()
    found: set[int] = set()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        # The process has ended or belongs to another user. A zombie's environment is empty.
        with suppress(OSError):
            if entry in environ.read_bytes().split(b"\0"):
                found.add(int(environ.parent.name))
    return found


def kill_processes(pids: set[int]) -> None:
    """Send SIGKILL to `pids`; ended processes are ignored."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def read_command_line(pid: int) -> str:
    """The first 120 characters of the command line of `pid`; empty when it has ended or is not visible."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()[:120]
    return ""
