"""Free TCP ports for tests."""

from __future__ import annotations

import os
import random
import socket
from contextlib import suppress

# Below the kernel's ephemeral ports; each process of a test run has its own range.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8


_PORTS = iter(random.sample(range(16_000 + 1_500 * _WORKER, 16_000 + 1_500 * (_WORKER + 1)), 1_500))


def find_free_port() -> int:
    """A port that is free now and returned only once per process."""
    for port in _PORTS:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("no port is free")
