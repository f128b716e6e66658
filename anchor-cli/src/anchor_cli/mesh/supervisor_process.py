"""supervisord that stops when its parent dies: `python -m anchor_cli.mesh.supervisor_process PARENT_PID -c FILE`."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import warnings
from types import FrameType

from supervisor import supervisord

PR_SET_PDEATHSIG = 1


def stop_with_parent(parent: int) -> None:
    """Act as on SIGTERM when the process `parent`, which started this one, dies; exit immediately if it already has.

    Standard output and error, which the parent read, are redirected to /dev/null then, so that writes still succeed.
    """

    def orphaned(number: int, frame: FrameType | None) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGUSR1, orphaned)
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGUSR1, 0, 0, 0) != 0:
        raise OSError("prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit("the process that started the supervisor is gone")


def main() -> None:
    """Run supervisord until SIGTERM or the parent's death."""
    # supervisord uses deprecated APIs; with warnings as errors, its socket would not respond.
    warnings.simplefilter("ignore")
    stop_with_parent(int(sys.argv[1]))
    supervisord.main(sys.argv[2:])


if __name__ == "__main__":
    main()
