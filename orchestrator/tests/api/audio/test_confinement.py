"""The decoder's process, taken over: what its code can still do, by real calls of the kernel."""

from __future__ import annotations

import asyncio
import errno
import json
import platform
import subprocess
import sys
from typing import Any

import pytest
from api_support import recording
from orchestrator.api.audio import decode, uploads
from orchestrator.api.audio.decode import ExitCode
from orchestrator.api.audio.uploads import Uploads, decode_in_subprocess
from orchestrator.api.limits import ApiLimits
from service_kit.errors import EngineFailed
from service_kit.syscall_filter import has_filters

needs_filters = pytest.mark.skipif(not has_filters(), reason="no filter of system calls on this platform")
needs_x86_64 = pytest.mark.skipif(
    not has_filters() or platform.machine() != "x86_64", reason="the numbers of system calls are those of x86-64"
)

# What hostile code calls, by number, with arguments that succeed or that fail otherwise than by a refusal.
CALLS = {
    **{"open": (2, b"/etc/passwd", 0), "openat": (257, -100, b"/etc/passwd", 0), "openat2": (437, -100, b"/", 0, 0)},
    **{
        "creat": (85, b"/tmp/x", 0),
        "stat": (4, b"/", 0),
        "newfstatat": (262, -100, b"/", 0, 0),
        "access": (21, b"/", 0),
    },
    **{"statx": (332, -100, b"/", 0, 0, 0), "readlink": (89, b"/proc/self/exe", 0, 0), "getdents64": (217, 0, 0, 0)},
    **{"socket": (41, 2, 1, 0), "socketpair": (53, 1, 1, 0, 0), "connect": (42, 0, 0, 0), "bind": (49, 0, 0, 0)},
    **{"sendto": (44, 0, 0, 0, 0, 0, 0), "sendmsg": (46, 0, 0, 0), "recvmsg": (47, 0, 0, 0), "accept": (43, 0, 0, 0)},
    **{"execve": (59, b"/bin/sh", 0, 0), "execveat": (322, -100, b"/bin/sh", 0, 0, 0)},
    **{"clone": (56, 0, 0, 0, 0, 0), "fork": (57,), "vfork": (58,), "clone3": (435, 0, 0)},
    **{"kill": (62, 0, 0), "tgkill": (234, 1, 1, 0), "ptrace": (101, 0, 0, 0, 0), "pidfd_open": (434, 1, 0)},
    **{"process_vm_readv": (310, 1, 0, 0, 0, 0, 0), "pidfd_getfd": (438, 0, 0, 0), "memfd_create": (319, b"x", 0)},
    **{"io_uring_setup": (425, 1, 0), "prctl": (157, 3, 0, 0, 0, 0), "seccomp": (317, 2, 0, 0), "unshare": (272, 0)},
    **{"mount": (165, 0, 0, 0, 0, 0), "bpf": (321, 0, 0, 0), "userfaultfd": (323, 0), "prlimit64": (302, 0, 7, 0, 0)},
    **{"dup": (32, 1), "fcntl": (72, 1, 1, 0), "ioctl": (16, 1, 0x5401, 0), "pipe": (22, 0), "shmget": (29, 0, 1, 0)},
    **{"unlink": (87, b"/tmp/x"), "rename": (82, b"/tmp/x", b"/tmp/y"), "mkdir": (83, b"/tmp/x", 0)},
    # By the numbers of x32, and executable memory, new and changed.
    **{"x32 open": (0x40000002, b"/etc/passwd", 0), "mmap executable": (9, 0, 4096, 7, 0x22, -1, 0)},
    **{"mprotect executable": (10, 0, 4096, 5)},
}
HARMLESS_UNCONFINED = ("open", "socket", "access", "dup", "mmap executable")

TAKEN_OVER = """
import ast, ctypes, json, os, socket, sys
from orchestrator.api.audio import decode
calls, confined = ast.literal_eval(sys.argv[1]), sys.argv[2] == "confined"
parent = os.getppid()
library = ctypes.CDLL(None, use_errno=True)
library.syscall.restype = ctypes.c_long
holds = decode._drop_privileges(5) if confined else False
results = {}
for name, (number, *arguments) in calls.items():
    ctypes.set_errno(0)
    typed = [value if isinstance(value, bytes) else ctypes.c_long(value) for value in arguments]
    results[name] = (library.syscall(ctypes.c_long(number), *typed) >= 0, ctypes.get_errno())
def attempt(call):
    try:
        call()
    except (OSError, MemoryError) as error:
        return type(error).__name__
    return "done"
python = {
    "read a file": attempt(lambda: open("/etc/passwd").read()),
    "read the secrets of the parent": attempt(lambda: open(f"/proc/{parent}/environ", "rb").read()),
    "write a file": attempt(lambda: open("/dev/null", "w")),
    "list a folder": attempt(lambda: os.listdir("/")),
    "connect": attempt(lambda: socket.socket().connect(("127.0.0.1", 9))),
    "run a program": attempt(lambda: os.execv("/bin/true", ["true"])) if confined else "",
    "start a process": attempt(os.fork) if confined else "",
    "signal the parent": attempt(lambda: os.kill(parent, 0)),
    "allocate": attempt(lambda: bytearray(decode.MEMORY_BYTES)) if confined else "",
}
environment = {name: value for name, value in os.environ.items() if name != "LC_CTYPE"}
print(json.dumps({"holds": holds, "calls": results, "python": python, "environment": environment}), flush=True)
"""


def take_over(calls: dict[str, tuple[int | bytes, ...]], *, confined: bool) -> dict[str, Any]:
    """Run hostile code as the decoder runs, and return what it could do."""
    command = (sys.executable, "-I", "-c", TAKEN_OVER, repr(calls), "confined" if confined else "")
    done = subprocess.run(
        command, env={}, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@needs_filters
def test_taken_over_decoder_reads_writes_connects_and_starts_nothing() -> None:
    seen = take_over({}, confined=True)
    assert seen["holds"] is True
    assert seen["python"].pop("allocate") == "MemoryError"
    assert set(seen["python"].values()) == {"PermissionError"}
    assert seen["environment"] == {}


@needs_x86_64
def test_kernel_refuses_the_calls_of_a_taken_over_decoder() -> None:
    seen = take_over(CALLS, confined=True)["calls"]
    assert {name: result for name, result in seen.items() if result != [False, errno.EACCES]} == {}


@needs_x86_64
def test_the_same_calls_are_not_refused_without_confinement() -> None:
    seen = take_over({name: CALLS[name] for name in HARMLESS_UNCONFINED}, confined=False)
    assert {name for name, (done, _) in seen["calls"].items() if done} == set(HARMLESS_UNCONFINED)
    assert seen["python"]["read a file"] == "done"
    assert seen["python"]["signal the parent"] == "done"


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        *(("ogg", "libopus"), ("webm", "libopus"), ("mp3", "libmp3lame"), ("flac", "flac")),
        *(
            ("mp4", "aac"),
            ("mov", "alac"),
            ("wav", "pcm_s24le"),
            ("wav", "adpcm_ms"),
            ("wav", "mp2"),
            ("aiff", "pcm_s16be"),
        ),
        *(("wav", "pcm_alaw"), ("adts", "aac"), ("matroska", "flac")),
    ],
)
@pytest.mark.parametrize("layout", ["mono", "stereo"])
async def test_confined_decoder_decodes_what_the_library_does(container: str, codec: str, layout: str) -> None:
    sound = recording(container, codec, 0.5, layout=layout)
    assert await decode_in_subprocess(sound, 5, 30) == decode.decode(sound, 5)


async def test_nothing_is_decoded_when_the_kernel_takes_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unconfined(*_: object, **__: object) -> asyncio.subprocess.Process:
        return await started(sys.executable, "-c", f"raise SystemExit({int(ExitCode.NOT_CONFINED)})", **PIPES)

    started, PIPES = asyncio.create_subprocess_exec, {"stdin": -1, "stdout": -1}
    monkeypatch.setattr(asyncio, "create_subprocess_exec", unconfined)
    with pytest.raises(EngineFailed) as refused:
        await decode_in_subprocess(b"sound", 5, 30)
    assert refused.value.code == "session.decoder_not_confined"


@pytest.mark.parametrize(("filters", "installed", "goes_on"), [(True, True, 1), (True, False, 0), (False, False, 1)])
def test_decoding_goes_on_only_under_what_the_platform_has(
    monkeypatch: pytest.MonkeyPatch, filters: bool, installed: bool, goes_on: int
) -> None:
    monkeypatch.setattr(decode, "has_filters", lambda: filters)
    monkeypatch.setattr(decode, "allow_computing_only", lambda: installed)
    for name in ("resource.setrlimit", "os.nice", "os.closerange"):
        monkeypatch.setattr(f"orchestrator.api.audio.decode.{name}", lambda *_: None)
    assert decode._drop_privileges(5) is bool(goes_on)


def test_platform_without_filters_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Uploads(ApiLimits())
    assert not caplog.records or not has_filters()
    monkeypatch.setattr(uploads, "has_filters", lambda: False)
    Uploads(ApiLimits())
    assert "under resource limits only" in caplog.text
