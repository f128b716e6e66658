"""Processes and their descent: nothing that the command started may outlive it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG = 1
# Environment variable that all processes of one mesh carry, and nobody else.
MARK = "ANCHOR_MESH_ID"


def stop_with_parent(parent: int) -> None:
    """Behave as on SIGTERM when the process `parent`, which started this one, dies; leave at once if it already has.

    Standard output and error, which that process read, then lead nowhere, so that writing to them goes on to work.
    """

    def orphaned(number: int, frame: FrameType | None) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGUSR1, orphaned)
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGUSR1, 0, 0, 0) != 0:
        raise OSError("this system does not tell a process that its parent died")
    if os.getppid() != parent:
        sys.exit("the process that started the supervisor is gone")


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
