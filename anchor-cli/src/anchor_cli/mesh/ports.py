"""Finds taken TCP ports and the processes that listen on them."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service_kit.addresses import bare_host, is_ipv6

from anchor_cli.mesh.processes import read_command_line

TCP_LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class TakenPort:
    """A port in use; `pid` is None when the owning process is not visible."""

    port: int
    pid: int | None
    command: str

    def __str__(self) -> str:
        if self.pid is None:
            return f"port {self.port} is taken by a process that is not visible"
        return f"port {self.port} is taken by process {self.pid} ({self.command})"


def find_taken_ports(host: str, ports: list[int]) -> list[TakenPort]:
    """Those of `ports` that cannot be bound on `host`, in order."""
    refused = [port for port in ports if not _is_free(host, port)]
    owners = _listeners(set(refused)) if refused else {}
    return [
        TakenPort(port, owners.get(port), read_command_line(owners[port]) if port in owners else "") for port in refused
    ]


def _is_free(host: str, port: int) -> bool:
    bare = bare_host(host)
    with socket.socket(socket.AF_INET6 if is_ipv6(bare) else socket.AF_INET) as probe:
        # As servers do: a lingering connection does not block the port, a listener does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bare, port))
        except OSError:
            return False
    return True


def _listeners(ports: set[int]) -> dict[int, int]:
    """Process id by port, for those of `ports` that have a visible listener."""
    inodes: dict[str, int] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text("ascii").splitlines()[1:]:
                fields = line.split()
                port = int(fields[1].rpartition(":")[2], 16)
                if fields[3] == TCP_LISTEN and port in ports:
                    inodes[f"socket:[{fields[9]}]"] = port
    owners: dict[int, int] = {}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            port = inodes.get(os.readlink(descriptor))  # noqa: PTH115 - a socket's name is no path
            if port is not None:
                owners[port] = int(descriptor.parts[2])
    return owners
