"""The worker's process: started, greeted, listened to, watched, and started again when it dies or hangs."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from service_kit.audio import SAMPLE_BYTES, to_float
from service_kit.errors import EngineFailed

from tts_service.engine import Samples, Speech, Word
from tts_service.engines.espeak.frames import PROTOCOL, WORD, Kind, encode, read_frame
from tts_service.metrics import WORKER_STARTS

log = logging.getLogger(__name__)

# Pieces of one phrase that wait for their listener; far more than any phrase has (a piece is up to 200 ms), so an
# engine that fills it speaks without end, and its phrase fails.
MAX_WAITING_PIECES = 2048
_START_S = 10.0
_RESTART_AFTER_S = (0.05, 0.2, 1.0, 2.0)
# A worker that owes a frame for so long hangs. A phrase costs it about 20 ms, and jobs wait for each other.
_HANG_S = 3.0


class Job:
    """One phrase at the worker: an iterator of its speech."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._pieces: asyncio.Queue[Speech | EngineFailed | None] = asyncio.Queue(MAX_WAITING_PIECES + 1)

    def __aiter__(self) -> Job:
        return self

    async def __anext__(self) -> Speech:
        piece = await self._pieces.get()
        if piece is None:
            raise StopAsyncIteration
        if isinstance(piece, EngineFailed):
            raise piece
        return piece

    def put(self, piece: Speech) -> bool:
        """Add a piece; False when too many wait, and the job has failed for it."""
        if self._pieces.qsize() < MAX_WAITING_PIECES:
            self._pieces.put_nowait(piece)
            return True
        self.finish(EngineFailed("tts.endless", "the engine spoke a phrase without end"))
        return False

    def finish(self, error: EngineFailed | None = None) -> None:
        """Let the iterator end after what waits, with `error` if there is one."""
        if not self._pieces.full():
            self._pieces.put_nowait(error)


class WorkerProcess:
    """Runs `command` and speaks phrases with it."""

    def __init__(self, command: Sequence[str], rate_hz: int, hang_s: float = _HANG_S) -> None:
        self._command = command
        self._rate_hz = rate_hz
        self._hang_s = hang_s
        self._numbers = itertools.count(1)
        # Jobs that somebody listens to.
        self._jobs: dict[int, Job] = {}
        # Jobs the worker still owes an END for, cancelled ones too, in order.
        self._owed: dict[int, None] = {}
        self._process: Process | None = None
        self._up = asyncio.Event()
        self._last_frame_s = 0.0
        self.version = ""

    @property
    def pid(self) -> int | None:
        """Of the worker that is up; None while there is none."""
        return self._process.pid if self._process is not None else None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Keep a worker up. Raises `EngineFailed` when the first one does not start."""
        process = await self._start()
        async with asyncio.TaskGroup() as tasks:
            supervising = tasks.create_task(self._supervise(process), name="espeak-worker")
            try:
                yield
            finally:
                supervising.cancel()

    @asynccontextmanager
    async def speak(self, request: dict[str, object]) -> AsyncGenerator[Job]:
        """Speak one phrase; leaving the context cancels what is left of it."""
        try:
            async with asyncio.timeout(_START_S):
                await self._up.wait()
        except TimeoutError as error:
            raise EngineFailed("tts.worker_unavailable", "the engine's worker does not start") from error
        # Job numbers travel in 32 bits.
        job = Job(next(self._numbers) & 0xFFFFFFFF)
        if not self._owed:
            self._last_frame_s = asyncio.get_running_loop().time()
        self._jobs[job.number] = job
        self._owed[job.number] = None
        self._write(encode(Kind.SPEAK, job.number, json.dumps(request).encode()))
        try:
            yield job
        finally:
            self._jobs.pop(job.number, None)
            if job.number in self._owed:
                self._write(encode(Kind.CANCEL, job.number))

    def _write(self, frame: bytes) -> None:
        # Not drained: what waits is at most a phrase and a cancel for each stream, and a hung worker is killed.
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(frame)

    async def _start(self) -> Process:
        process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE)
        WORKER_STARTS.inc()
        try:
            async with asyncio.timeout(_START_S):
                kind, _, payload = await read_frame(_output(process))
            hello: dict[str, Any] = json.loads(payload) if kind is Kind.HELLO else {}
            if hello.get("protocol") != PROTOCOL:
                raise EngineFailed("tts.worker_protocol", f"the worker speaks protocol {hello.get('protocol')}")
            if hello.get("rate_hz") != self._rate_hz:
                raise EngineFailed("tts.worker_rate", f"the worker speaks at {hello.get('rate_hz')} Hz")
            self.version = str(hello["version"])
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            await _end(process)
            raise EngineFailed("tts.worker_unavailable", "the engine's worker did not greet") from error
        except BaseException:
            await _end(process)
            raise
        self._process = process
        self._up.set()
        return process

    async def _supervise(self, process: Process) -> None:
        failures = 0
        while True:
            try:
                started_s = asyncio.get_running_loop().time()
                await self._listen(process)
                failures = 0 if asyncio.get_running_loop().time() - started_s > 10 else failures + 1
            finally:
                self._down(EngineFailed("tts.worker_died", "the engine's worker died"))
                await _end(process)
            log.warning("engine worker died", extra={"exit_code": process.returncode})
            while True:
                await asyncio.sleep(_RESTART_AFTER_S[min(failures, len(_RESTART_AFTER_S) - 1)])
                try:
                    process = await self._start()
                    break
                except (EngineFailed, OSError) as error:
                    failures += 1
                    log.error("engine worker did not start", extra={"reason": str(error)})

    def _down(self, error: EngineFailed) -> None:
        self._up.clear()
        self._process = None
        self._owed.clear()
        for job in self._jobs.values():
            job.finish(error)
        self._jobs.clear()

    async def _listen(self, process: Process) -> None:
        """Hand out frames until the worker is gone, garbles or hangs."""
        watching = asyncio.create_task(self._kill_when_hung(process), name="espeak-watch")
        loop = asyncio.get_running_loop()
        try:
            while True:
                kind, number, payload = await read_frame(_output(process))
                self._last_frame_s = loop.time()
                self._take(kind, number, payload)
        except asyncio.IncompleteReadError:
            return
        except EngineFailed as error:
            log.error("engine worker garbled", extra={"reason": error.message})
        finally:
            watching.cancel()

    def _take(self, kind: Kind, number: int, payload: bytes) -> None:
        job = self._jobs.get(number)
        match kind:
            case Kind.END | Kind.FAILED:
                self._owed.pop(number, None)
                if job is not None:
                    reason = payload.decode("utf-8", "replace")
                    job.finish(EngineFailed("tts.engine_failed", reason) if kind is Kind.FAILED else None)
            case Kind.AUDIO | Kind.WORD if job is not None:
                piece = _piece(kind, payload)
                if not job.put(piece):
                    self._jobs.pop(number)
                    self._write(encode(Kind.CANCEL, number))
            case _:
                # What a cancelled job had said before it heard of it.
                pass

    async def _kill_when_hung(self, process: Process) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._hang_s / 4)
            if self._owed and loop.time() - self._last_frame_s > self._hang_s:
                log.error("engine worker hung", extra={"jobs": len(self._owed)})
                process.kill()
                return


def _piece(kind: Kind, payload: bytes) -> Speech:
    """Raises `EngineFailed` for what is neither whole samples nor a word's place."""
    if kind is Kind.AUDIO and len(payload) % SAMPLE_BYTES == 0:
        return Samples(to_float(payload))
    if kind is Kind.WORD and len(payload) == WORD.size:
        return Word(*WORD.unpack(payload))
    raise EngineFailed("tts.worker_garbled", f"the worker sent {len(payload)} bytes of {kind.name}")


def _output(process: Process) -> asyncio.StreamReader:
    # A pipe was asked for, so there is one.
    return cast(asyncio.StreamReader, process.stdout)


async def _end(process: Process) -> None:
    """Kill the process and wait for its end; it holds nothing worth a goodbye."""
    if process.returncode is None:
        process.kill()
    await asyncio.shield(process.wait())
