"""A process without sockets: a real child calls the kernel and Python's own module."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest
from service_kit.engines import isolation

CHILD = """
import ctypes, json, os, threading
import socket
from service_kit.engines.isolation import forbid_sockets
enforced = forbid_sockets()
def refused(call):
    try:
        call()
    except PermissionError:
        return True
    return False
library = ctypes.CDLL(None, use_errno=True)
native = []
def call_natively():
    native.append((library.socket(2, 1, 0), ctypes.get_errno()))
thread = threading.Thread(target=call_natively)
thread.start()
thread.join()
read, write = os.pipe()
os.write(write, b"x")
print(json.dumps({
    "enforced": enforced,
    "python": refused(lambda: socket.socket()),
    "pair": refused(socket.socketpair),
    "native": native[0],
    "pipe": os.read(read, 1).decode(),
}))
"""


@pytest.fixture(scope="module")
def seen() -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_python_code_gets_no_socket(seen: dict[str, object]) -> None:
    assert seen["python"] is True
    assert seen["pair"] is True
    assert seen["pipe"] == "x"


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="no filter for this platform"
)
def test_native_code_gets_no_socket_from_the_kernel(seen: dict[str, object]) -> None:
    assert seen["enforced"] is True
    assert seen["native"] == [-1, 13]


def test_onnxruntime_is_loaded_without_its_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    monkeypatch.setattr(isolation, "import_module", lambda name: seen.append(os.environ["ORT_DISABLE_TELEMETRY"]))
    isolation.import_onnxruntime()
    assert seen == ["1"]
