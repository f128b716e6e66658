"""A worker process and its replacements, with a tiny real child."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from service_kit.engines.worker_frames import WorkerFrame
from service_kit.engines.worker_process import WorkerOptions, WorkerProcess
from service_kit.errors import EngineFailed

WITHIN_S = 20.0
HELLO, ECHO, CRASH, HANG, GARBAGE, HUGE, SLOW, ANSWER = range(1, 9)

# Sends HELLO, then does what each frame asks for.
CHILD = f"""
import struct, sys, time
header = struct.Struct("<BII")
def send(kind, number=0, payload=b"", size=None):
    sys.stdout.buffer.write(header.pack(kind, number, len(payload) if size is None else size) + payload)
    sys.stdout.buffer.flush()
send({HELLO}, 0, b"version 1")
while head := sys.stdin.buffer.read(header.size):
    kind, number, size = header.unpack(head)
    payload = sys.stdin.buffer.read(size)
    if kind == {ECHO}:
        send({ANSWER}, number, payload)
    elif kind == {CRASH}:
        sys.exit(3)
    elif kind == {HANG}:
        time.sleep(3600)
    elif kind == {SLOW}:
        for _ in range(6):
            time.sleep(0.1)
            send({SLOW}, number)
        send({ANSWER}, number)
    elif kind == {GARBAGE}:
        send(99, number)
    elif kind == {HUGE}:
        send({ANSWER}, number, size=2**31)
"""


class Client:
    """Collects what the worker process reports."""

    def __init__(self) -> None:
        self.starts = 0
        self.exits = 0
        self.handshakes: list[bytes] = []
        self.answers: asyncio.Queue[WorkerFrame] = asyncio.Queue()
        self.exited = asyncio.Event()

    def on_start(self) -> None:
        self.starts += 1

    def on_handshake(self, frame: WorkerFrame) -> None:
        if frame.kind != HELLO:
            raise EngineFailed("test.protocol", f"kind {frame.kind} is not a handshake")
        self.handshakes.append(frame.payload)

    def on_frame(self, frame: WorkerFrame) -> bool:
        if frame.kind not in (SLOW, ANSWER):
            raise EngineFailed("test.malformed", f"kind {frame.kind} is unknown")
        if frame.kind == ANSWER:
            self.answers.put_nowait(frame)
        return frame.kind == ANSWER

    def on_exit(self) -> None:
        self.exits += 1
        self.exited.set()


def options(
    program: str = CHILD,
    start_s: float = WITHIN_S,
    hang_s: float = WITHIN_S,
    delays_s: Sequence[float] = (0.01,),
    max_failed_restarts: int | None = None,
) -> WorkerOptions:
    return WorkerOptions(
        name="test worker",
        command=(sys.executable, "-c", program),
        start_s=start_s,
        hang_s=hang_s,
        restart_delays_s=delays_s,
        max_failed_restarts=max_failed_restarts,
        unavailable_code="test.unavailable",
        malformed_code="test.malformed",
    )


@pytest.fixture
def client() -> Client:
    return Client()


@asynccontextmanager
async def running(client: Client, **changes) -> AsyncGenerator[WorkerProcess]:
    worker = WorkerProcess(options(**changes), client)
    async with asyncio.timeout(WITHIN_S), worker.running():
        yield worker


async def echo(worker: WorkerProcess, client: Client, text: bytes) -> bytes:
    await worker.wait_ready()
    worker.send(WorkerFrame(ECHO, 1, text), expects_answer=True)
    return (await client.answers.get()).payload


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_frames_go_both_ways_after_the_handshake(client: Client) -> None:
    async with running(client) as worker:
        assert worker.ready
        assert client.handshakes == [b"version 1"]
        assert await echo(worker, client, b"hello") == b"hello"
        assert await echo(worker, client, bytes(100_000)) == bytes(100_000)
    assert client.exits == 1


async def test_a_given_environment_is_the_whole_environment(client: Client) -> None:
    program = (
        "import json, os, struct, sys\n"
        "names = json.dumps(sorted(os.environ)).encode()\n"
        f"sys.stdout.buffer.write(struct.pack('<BII', {HELLO}, 0, len(names)) + names); sys.stdout.flush()\n"
        "sys.stdin.buffer.read()"
    )
    alone = replace(options(program), environment={"ONLY": "1"})
    async with asyncio.timeout(WITHIN_S), WorkerProcess(alone, client).running():
        # Python itself may add LC_CTYPE.
        assert set(json.loads(client.handshakes[0])) - {"LC_CTYPE"} == {"ONLY"}


async def test_leaving_the_context_ends_the_process(client: Client) -> None:
    async with running(client) as worker:
        pid = worker.pid
        assert pid is not None
        assert is_running(pid)
    assert not is_running(pid)
    assert (worker.pid, worker.ready) == (None, False)


@pytest.mark.parametrize("frame", [WorkerFrame(CRASH), WorkerFrame(GARBAGE), WorkerFrame(HUGE)])
async def test_a_process_that_crashes_or_sends_garbage_is_replaced(client: Client, frame: WorkerFrame) -> None:
    async with running(client) as worker:
        pid = worker.pid
        worker.send(frame, expects_answer=True)
        await client.exited.wait()
        assert await echo(worker, client, b"again") == b"again"
        assert worker.pid != pid
        assert (client.starts, client.exits) == (2, 1)


async def test_a_process_that_is_killed_is_replaced(client: Client) -> None:
    async with running(client) as worker:
        pid = worker.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await client.exited.wait()
        assert await echo(worker, client, b"again") == b"again"


@pytest.mark.parametrize("stopped", [False, True], ids=["hangs at its work", "is stopped"])
async def test_a_process_that_owes_an_answer_and_hangs_is_replaced(client: Client, stopped: bool) -> None:
    async with running(client, hang_s=0.3) as worker:
        pid = worker.pid
        assert pid is not None
        if stopped:
            os.kill(pid, signal.SIGSTOP)
        worker.send(WorkerFrame(ECHO if stopped else HANG), expects_answer=True)
        await client.exited.wait()
        assert await echo(worker, client, b"again") == b"again"
        assert not is_running(pid)


async def test_an_idle_process_is_not_taken_for_a_hung_one(client: Client) -> None:
    async with running(client, hang_s=0.2) as worker:
        await asyncio.sleep(0.5)
        worker.send(WorkerFrame(ECHO, 1), expects_answer=True)
        await client.answers.get()
        await asyncio.sleep(0.5)
        assert (client.starts, client.exits) == (1, 0)


async def test_a_process_that_still_sends_frames_does_not_hang(client: Client) -> None:
    async with running(client, hang_s=0.4) as worker:
        # Takes longer than `hang_s`; sends a frame every 100 ms meanwhile.
        worker.send(WorkerFrame(SLOW), expects_answer=True)
        await client.answers.get()
        assert client.exits == 0


async def test_a_frame_for_a_missing_process_is_dropped(client: Client) -> None:
    async with running(client, delays_s=(0.2,)) as worker:
        worker.send(WorkerFrame(CRASH))
        await client.exited.wait()
        worker.send(WorkerFrame(ECHO, 1, b"lost"), expects_answer=True)
        assert await echo(worker, client, b"again") == b"again"
        assert client.answers.empty()


async def test_a_slow_start_is_waited_for_until_its_deadline(client: Client) -> None:
    slow = f"import time; time.sleep(0.5)\n{CHILD}"
    async with running(client, program=slow) as worker:
        assert await echo(worker, client, b"late") == b"late"


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("pass", "test.unavailable"),
        ("import time; time.sleep(3600)", "test.unavailable"),
        ("import sys; sys.stdout.buffer.write(b'\\xff' * 64); sys.stdout.flush()", "test.malformed"),
        ("import sys; sys.stdout.buffer.write(b'\\x63' + bytes(8)); sys.stdout.flush()", "test.protocol"),
    ],
    ids=["exits", "is silent", "sends garbage", "sends another frame"],
)
async def test_a_first_process_without_a_handshake_is_an_error(client: Client, program: str, code: str) -> None:
    with pytest.raises(EngineFailed) as failure:
        async with running(client, program=program, start_s=1.0 if "sleep" in program else 30.0):
            pass
    assert failure.value.code == code
    assert (client.starts, client.exits) == (1, 0)


async def test_a_missing_program_is_an_error(client: Client) -> None:
    worker = WorkerProcess(
        WorkerOptions("test worker", ("/no/such/program",), 1, 1, (0.01,), None, "test.unavailable", "test.malformed"),
        client,
    )
    with pytest.raises(OSError, match="such"):
        await worker.run()


async def test_failed_restarts_are_retried_with_growing_pauses(client: Client, tmp_path) -> None:
    starts = tmp_path / "starts"
    # The second and the third process exit before their handshake.
    program = f"""
import pathlib, sys
starts = pathlib.Path({str(starts)!r})
number = len(starts.read_text()) if starts.exists() else 0
starts.write_text("x" * (number + 1))
if number in (1, 2):
    sys.exit(1)
{CHILD}"""
    loop = asyncio.get_running_loop()
    async with running(client, program=program, delays_s=(0.0, 0.1, 0.2, 0.3)) as worker:
        worker.send(WorkerFrame(CRASH))
        await client.exited.wait()
        exited_s = loop.time()
        assert await echo(worker, client, b"again") == b"again"
        # A quick exit and two failed starts.
        assert loop.time() - exited_s > 0.1 + 0.2 + 0.3
        assert client.starts == 4


async def test_failed_restarts_are_given_up_after_the_limit(client: Client, tmp_path) -> None:
    started = tmp_path / "started"
    # Only the first process gets as far as its handshake.
    program = f"""
import pathlib, sys
started = pathlib.Path({str(started)!r})
if started.exists():
    sys.exit(1)
started.touch()
{CHILD}"""
    worker = WorkerProcess(options(program, max_failed_restarts=2), client)
    life = asyncio.create_task(worker.run())
    await worker.wait_ready()
    worker.send(WorkerFrame(CRASH))
    with pytest.raises(EngineFailed, match="does not start") as failure:
        await asyncio.wait_for(life, WITHIN_S)
    assert failure.value.code == "test.unavailable"
    assert client.starts == 3


@pytest.mark.parametrize("ready", [True, False], ids=["while it works", "while it starts"])
async def test_cancelling_ends_the_process(client: Client, ready: bool) -> None:
    worker = WorkerProcess(options(CHILD if ready else "import time; time.sleep(3600)"), client)
    life = asyncio.create_task(worker.run())
    async with asyncio.timeout(WITHIN_S):
        while worker.pid is None or worker.ready is not ready:
            await asyncio.sleep(0.01)
    pid = worker.pid
    life.cancel()
    await asyncio.wait((life,), timeout=WITHIN_S)
    assert life.cancelled()
    assert not is_running(pid)
    assert client.exits == (1 if ready else 0)
