"""Filters of system calls for the process that calls them: seccomp, on Linux on x86-64 and arm64.

A filter needs no privilege, holds in a container, for native code too, and for good. It holds for the calling thread
and the threads that it starts afterwards, so a filter is for a process that has one thread. It is written here because
the bindings of libseccomp for Python are not maintained, and the library is not on every machine.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import sys
from typing import Final

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2

# Classic BPF, from linux/bpf_common.h: load a word, jump if equal, if greater or equal, if a bit is set, return.
_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EACCES
# Offsets in `struct seccomp_data`: the call, the architecture, and the lower half of the third argument.
_NUMBER, _ARCHITECTURE, _THIRD_ARGUMENT = 0, 4, 32
# Calls with this bit are those of x32, which have other numbers.
_X32 = 0x40000000
_PROT_EXEC = 4

# The kernel's name of each architecture, and the numbers of calls there (asm/unistd_64.h, asm-generic/unistd.h).
_ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# `io_uring_setup` can create a socket too.
_SOCKETS: Final = {"socket": (41, 198), "socketpair": (53, 199), "io_uring_setup": (425, 425)}
# What a program needs that reads and writes what is open, and computes: no call that opens, creates, connects, starts,
# signals or looks at anything.
_COMPUTING: Final = {
    **{"read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "close": (3, 57)},
    **{"fstat": (5, 80), "lseek": (8, 62)},
    **{"munmap": (11, 215), "brk": (12, 214), "mremap": (25, 216), "madvise": (28, 233)},
    **{"rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132)},
    **{"exit": (60, 93), "exit_group": (231, 94), "restart_syscall": (219, 128)},
    **{"getpid": (39, 172), "gettid": (186, 178), "futex": (202, 98), "sched_yield": (24, 124)},
    **{"clock_gettime": (228, 113), "clock_nanosleep": (230, 115), "nanosleep": (35, 101), "getrandom": (318, 278)},
}
# Allowed for memory that is not executable: their third argument is the protection.
_MAPPING: Final = {"mmap": (9, 222), "mprotect": (10, 226)}


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


def has_filters() -> bool:
    """Whether this platform has filters of system calls."""
    return sys.platform == "linux" and platform.machine() in _ARCHITECTURES


def refuse_new_sockets() -> bool:
    """Have the kernel refuse to create a socket; return whether it does."""
    return has_filters() and _install([*_native_calls_only(), *_return_for(_SOCKETS, _REFUSE), (_RETURN, 0, 0, _ALLOW)])


def allow_computing_only() -> bool:
    """Have the kernel refuse all that opens, connects, starts or signals anything, and executable memory.

    Return whether it does. What is open already can be read and written.
    """
    if not has_filters():
        return False
    mapping = _numbers(_MAPPING)
    executable = [(_LOAD, 0, 0, _THIRD_ARGUMENT), (_JUMP_BITS, 0, 1, _PROT_EXEC), (_RETURN, 0, 0, _REFUSE)]
    # Past the other mappings and the jump over these checks.
    to_checks = [(_JUMP_EQUAL, len(mapping) - place, 0, number) for place, number in enumerate(mapping)]
    skipped = len(executable) + 1
    return _install(
        [
            *_native_calls_only(),
            *to_checks,
            (_JUMP_GREATER_EQUAL, skipped, skipped, 0),
            *executable,
            (_RETURN, 0, 0, _ALLOW),
            *_return_for(_COMPUTING, _ALLOW),
            (_RETURN, 0, 0, _REFUSE),
        ]
    )


def _native_calls_only() -> list[tuple[int, int, int, int]]:
    """Refuse calls by foreign numbers, and load the number of the call."""
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, _ARCHITECTURES[platform.machine()]),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_GREATER_EQUAL, 0, 1, _X32),
        (_RETURN, 0, 0, _REFUSE),
    ]


def _return_for(calls: dict[str, tuple[int, int]], verdict: int) -> list[tuple[int, int, int, int]]:
    """Return `verdict` for `calls`, and go on for others."""
    numbers = _numbers(calls)
    jumps = [(_JUMP_EQUAL, len(numbers) - place, 0, number) for place, number in enumerate(numbers)]
    return [*jumps, (_JUMP_GREATER_EQUAL, 1, 1, 0), (_RETURN, 0, 0, verdict)]


def _numbers(calls: dict[str, tuple[int, int]]) -> list[int]:
    place = list(_ARCHITECTURES).index(platform.machine())
    return [numbers[place] for numbers in calls.values()]


def _install(instructions: list[tuple[int, int, int, int]]) -> bool:
    library = ctypes.CDLL(None, use_errno=True)
    array = (_Instruction * len(instructions))(*instructions)
    program = _Program(len(instructions), array)
    zero = ctypes.c_ulong(0)
    if library.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero):
        return False
    mode = ctypes.c_ulong(_SECCOMP_MODE_FILTER)
    return library.prctl(_PR_SET_SECCOMP, mode, ctypes.byref(program), zero, zero) == 0
