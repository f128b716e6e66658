"""supervisord, tied to the life of its starter: `python -m anchor_cli.mesh.supervisor_process PARENT_PID -c FILE`."""

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


def main() -> None:
    """Run supervisord; when the parent dies, however it dies, stop as on SIGTERM."""
    # The supervisor uses what Python deprecates; where warnings are errors, its socket would answer nobody.
    warnings.simplefilter("ignore")
    stop_with_parent(int(sys.argv[1]))
    supervisord.main(sys.argv[2:])


if __name__ == "__main__":
    main()
