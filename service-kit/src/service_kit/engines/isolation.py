"""Takes sockets away from the process that calls it, for code that has no business with the network.

For a package that is verified before it is imported, `ignore_compiled_files` closes the way around its sources.
`import_onnxruntime` is the one place that loads that library.

| where                        | what holds                                                                        |
|------------------------------|-----------------------------------------------------------------------------------|
| Linux on x86-64 and arm64    | a seccomp filter: the kernel refuses to create a socket, to native code as well   |
| every platform               | an audit hook: Python's own `socket` module raises `PermissionError`              |

The filter needs no privilege and holds in a container. What is open already, such as a pipe, stays open.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
from importlib import import_module
from typing import Any, Final

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2

# Classic BPF, from linux/bpf_common.h: load a word, jump if equal, jump if greater or equal, return.
_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EACCES
# Offsets in `struct seccomp_data`.
_NUMBER, _ARCHITECTURE = 0, 4
# Calls with this bit are those of x32, which have other numbers.
_X32 = 0x40000000

# Per machine: the kernel's name of the architecture, then the numbers of socket, socketpair and io_uring_setup, which
# can create a socket too.
_MACHINES: Final = {
    "x86_64": (0xC000003E, (41, 53, 425)),
    "aarch64": (0xC00000B7, (198, 199, 425)),
}


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


def forbid_sockets() -> bool:
    """Forbid new sockets in this process for good; return whether the kernel enforces it.

    Call it before a thread is started: the filter holds for the calling thread and those that it starts.
    """
    sys.addaudithook(_refuse_socket)
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return False
    architecture, numbers = _MACHINES[platform.machine()]
    return _install(_instructions(architecture, numbers))


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


def _instructions(architecture: int, numbers: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """The filter: refuse foreign architectures, x32 and the calls `numbers`; allow all else."""
    # The jump to the last instruction, which refuses, from the check at `position`.
    checks: list[tuple[int, int]] = [(_JUMP_GREATER_EQUAL, _X32), *((_JUMP_EQUAL, number) for number in numbers)]
    program = [(_LOAD, 0, 0, _ARCHITECTURE), (_JUMP_EQUAL, 0, len(checks) + 2, architecture), (_LOAD, 0, 0, _NUMBER)]
    for position, (code, value) in enumerate(checks):
        program.append((code, len(checks) - position, 0, value))
    return [*program, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]


def _install(instructions: list[tuple[int, int, int, int]]) -> bool:
    library = ctypes.CDLL(None, use_errno=True)
    array = (_Instruction * len(instructions))(*instructions)
    program = _Program(len(instructions), array)
    zero = ctypes.c_ulong(0)
    if library.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero):
        return False
    mode = ctypes.c_ulong(_SECCOMP_MODE_FILTER)
    return library.prctl(_PR_SET_SECCOMP, mode, ctypes.byref(program), zero, zero) == 0


def _refuse_socket(event: str, _arguments: tuple[object, ...]) -> None:
    if event == "socket.__new__":
        raise PermissionError(errno.EACCES, "this process may not open a socket")
