"""What is known of a process from its pid: its command, and the service or container it belongs to."""

from __future__ import annotations

import re
from pathlib import Path

# The first pid namespace of every Linux kernel (PROC_PID_INIT_INO), that is, the host's.
HOST_PID_NAMESPACE = "pid:[4026531836]"
# Docker, containerd, CRI-O, podman and Kubernetes, under both versions of cgroups, all have the id in the path.
# Podman's monitor of a container is not in it. Of containers within containers, the last one is the process's own.
CONTAINER_ID = re.compile(r"(?<![0-9a-f])(?<!conmon-)([0-9a-f]{64})(?![0-9a-f])")


class VisibleProcesses:
    """Reads `/proc`, where that shows the processes the driver counts.

    The driver counts by the host's pids. Inside a pid namespace the same number is another process, so nothing is
    said there unless `host_pids` says otherwise.
    """

    def __init__(self, host_pids: bool | None = None, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._visible = self._is_host() if host_pids is None else host_pids

    def name(self, pid: int) -> str:
        """The command's name; empty when not visible from here."""
        return self._read(pid, "comm").strip()

    def service(self, pid: int) -> str:
        """The Python package it runs (`stt-service`), else its container's short id; empty when not known."""
        arguments = self._read(pid, "cmdline").rstrip("\0").split("\0")
        if Path(arguments[0]).name.startswith("python") and "-m" in arguments[:-1]:
            module = arguments[arguments.index("-m") + 1]
            return module.partition(".")[0].replace("_", "-")
        return self.container_id(pid)[:12]

    def container_id(self, pid: int) -> str:
        """Its container, 64 hexadecimal digits; empty outside one, and when not visible from here."""
        found: list[str] = CONTAINER_ID.findall(self._read(pid, "cgroup"))
        return found[-1] if found else ""

    def _is_host(self) -> bool:
        try:
            return str((self._proc / "self/ns/pid").readlink()) == HOST_PID_NAMESPACE
        except OSError:
            return False

    def _read(self, pid: int, what: str) -> str:
        if not self._visible:
            return ""
        try:
            return (self._proc / str(pid) / what).read_text(errors="replace")
        except OSError:
            # Ended meanwhile, or another user's.
            return ""
