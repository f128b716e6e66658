"""Whether the ports of a mesh are free, and if not, who has them."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from anchor_cli.mesh.processes import command_of

LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class TakenPort:
    """A port somebody listens on; `pid` is None when the system does not show whose it is."""

    port: int
    pid: int | None
    command: str

    def __str__(self) -> str:
        if self.pid is None:
            return f"port {self.port} is taken by a process that is not visible from here"
        return f"port {self.port} is taken by process {self.pid} ({self.command})"


def taken_ports(host: str, ports: list[int]) -> list[TakenPort]:
    """Those of `ports` that cannot be bound on `host`, in order."""
    refused = [port for port in ports if not _is_free(host, port)]
    owners = _listeners(set(refused)) if refused else {}
    return [TakenPort(port, owners.get(port), command_of(owners[port]) if port in owners else "") for port in refused]


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a connection that lingers after its server is no obstacle, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _listeners(ports: set[int]) -> dict[int, int]:
    """Port → process, for those of `ports` that have a visible listener."""
    inodes: dict[str, int] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text("ascii").splitlines()[1:]:
                fields = line.split()
                port = int(fields[1].rpartition(":")[2], 16)
                if fields[3] == LISTEN and port in ports:
                    inodes[f"socket:[{fields[9]}]"] = port
    owners: dict[int, int] = {}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            port = inodes.get(os.readlink(descriptor))  # noqa: PTH115 - a socket's name is no path
            if port is not None:
                owners[port] = int(descriptor.parts[2])
    return owners
