"""Takes sockets away from the process that calls it, for code that has no business with the network.

For a package that is verified before it is imported, `ignore_compiled_files` closes the way around its sources.
`import_onnxruntime` is the one place that loads that library.

| where                        | what holds                                                                        |
|------------------------------|-----------------------------------------------------------------------------------|
| Linux on x86-64 and arm64    | a seccomp filter: the kernel refuses to create a socket, to native code as well   |
| every platform               | an audit hook: Python's own `socket` module raises `PermissionError`              |

What is open already, such as a pipe, stays open. `service_kit.syscall_filter` has the filter.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from typing import Any

from service_kit.syscall_filter import refuse_new_sockets


def forbid_sockets() -> bool:
    """Forbid new sockets in this process for good; return whether the kernel enforces it.

    Call it before a thread is started: the filter holds for the calling thread and those that it starts.
    """
    sys.addaudithook(_refuse_socket)
    return refuse_new_sockets()


def ignore_compiled_files() -> None:
    """Have this process import source files only, from now on and for good.

    Python runs a compiled file beside a source in its place when size and time of the source match, so verifying the
    sources of a package is not enough.
    """
    sys.dont_write_bytecode = True
    # A folder that cannot exist.
    sys.pycache_prefix = os.devnull


def import_onnxruntime() -> Any:
    """Return the module `onnxruntime`, loaded without its telemetry; packages that import it afterwards get the same.

    Raises `ImportError` where it is not installed.
    """
    # Read when the library is loaded: otherwise it keeps a device id in the home folder, and uploads events.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    return import_module("onnxruntime")


def _refuse_socket(event: str, _arguments: tuple[object, ...]) -> None:
    if event == "socket.__new__":
        raise PermissionError(errno.EACCES, "this process may not open a socket")
