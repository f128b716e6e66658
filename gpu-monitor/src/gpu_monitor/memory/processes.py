"""Looks up the command, service and container of a process by its pid, in `/proc`."""

from __future__ import annotations

import re
from pathlib import Path

# The initial pid namespace of every Linux kernel (PROC_PID_INIT_INO): the host's.
HOST_PID_NAMESPACE = "pid:[4026531836]"
# Docker, containerd, CRI-O, podman and Kubernetes put the id into the path, with cgroups v1 and v2. Podman's monitor
# (conmon) is not inside the container. With nested containers, the last id is the process's own.
CONTAINER_ID = re.compile(r"(?<![0-9a-f])(?<!conmon-)([0-9a-f]{64})(?![0-9a-f])")


class ProcessLookup:
    """Reads `/proc` where it shows the host's processes.

    The driver reports host pids. Inside a pid namespace the same number is another process, so all lookups return
    "" there unless `host_pids` is True.
    """

    def __init__(self, host_pids: bool | None = None, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._visible = self._is_host() if host_pids is None else host_pids

    def name(self, pid: int) -> str:
        """The command's name; empty when not visible."""
        return self._read(pid, "comm").strip()

    def service(self, pid: int) -> str:
        """The Python package it runs (`stt-service`), else its container's short id; empty when unknown."""
        arguments = self._read(pid, "cmdline").rstrip("\0").split("\0")
        if Path(arguments[0]).name.startswith("python") and "-m" in arguments[:-1]:
            module = arguments[arguments.index("-m") + 1]
            return module.partition(".")[0].replace("_", "-")
        return self.container_id(pid)[:12]

    def container_id(self, pid: int) -> str:
        """Its container id, 64 hexadecimal digits; empty outside a container and when not visible."""
        found: list[str] = CONTAINER_ID.findall(self._read(pid, "cgroup"))
        return found[-1] if found else ""

    def _is_host(self) -> bool:
        try:
            return str((self._proc / "self/ns/pid").readlink()) == HOST_PID_NAMESPACE
        except OSError:
            return False

    def _read(self, pid: int, name: str) -> str:
        if not self._visible:
            return ""
        try:
            return (self._proc / str(pid) / name).read_text(errors="replace")
        except OSError:
            # The process has ended or belongs to another user.
            return ""
