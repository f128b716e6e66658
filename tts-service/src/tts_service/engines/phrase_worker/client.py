"""The espeak-worker process: sends it phrases and passes on the speech it sends back."""

from __future__ import annotations

import asyncio
import itertools
import json
import struct
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import Any

from service_kit.audio import SAMPLE_BYTES, to_float
from service_kit.engines.worker_process import WorkerFrame, WorkerOptions, WorkerProcess
from service_kit.errors import EngineFailed

from tts_service.engine import Samples, Speech, Word
from tts_service.metrics import WORKER_STARTS

# The worker's protocol; its README.md is the reference, and the two share no code.
PROTOCOL = 1
# First character, length in characters, first sample.
WORD = struct.Struct("<III")

# Unread pieces of one phrase. A piece is up to 200 ms, so only an engine that speaks without end reaches this, and its
# phrase fails.
MAX_WAITING_PIECES = 2048
_START_S = 10.0
_RESTART_DELAYS_S = (0.05, 0.2, 1.0, 2.0)
# A phrase costs the worker about 20 ms, and jobs wait for each other.
_HANG_S = 3.0
_MALFORMED = "tts.worker_garbled"


class FrameKind(IntEnum):
    """The kinds of frames that espeak-worker exchanges."""

    HELLO = 1
    SPEAK = 2
    CANCEL = 3
    WORD = 4
    AUDIO = 5
    END = 6
    FAILED = 7


class Job:
    """One phrase at the worker: an async iterator of its speech."""

    def __init__(self, number: int) -> None:
        self.number = number
        # Whether the worker still works on it.
        self.active = True
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

    def add_piece(self, piece: Speech) -> bool:
        """Append a piece; False when too many are unread, which fails the job."""
        if self._pieces.qsize() < MAX_WAITING_PIECES:
            self._pieces.put_nowait(piece)
            return True
        self.end(EngineFailed("tts.endless", "the engine spoke a phrase without end"))
        return False

    def end(self, error: EngineFailed | None = None) -> None:
        """End the iterator after the unread pieces, with `error` if there is one."""
        self.active = False
        if not self._pieces.full():
            self._pieces.put_nowait(error)


class EspeakWorker:
    """Runs `command` and speaks phrases with it."""

    def __init__(self, command: Sequence[str], rate_hz: int, hang_s: float = _HANG_S) -> None:
        options = WorkerOptions(
            name="engine's worker",
            command=command,
            start_s=_START_S,
            hang_s=hang_s,
            restart_delays_s=_RESTART_DELAYS_S,
            max_failed_restarts=None,
            unavailable_code="tts.worker_unavailable",
            malformed_code=_MALFORMED,
        )
        self._process = WorkerProcess(options, self)
        self._rate_hz = rate_hz
        self._numbers = itertools.count(1)
        # Jobs with a listener.
        self._jobs: dict[int, Job] = {}
        self.version = ""

    @property
    def pid(self) -> int | None:
        """The worker's process id; None while there is no worker."""
        return self._process.pid

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Keep a worker running. Raises `EngineFailed` when the first one does not start."""
        async with self._process.running():
            yield

    @asynccontextmanager
    async def speak(self, request: dict[str, object]) -> AsyncGenerator[Job]:
        """Speak one phrase; leaving the context cancels the rest of it."""
        try:
            async with asyncio.timeout(_START_S):
                await self._process.wait_ready()
        except TimeoutError as error:
            raise EngineFailed("tts.worker_unavailable", "the engine's worker does not start") from error
        # Job numbers have 32 bits in a frame.
        job = Job(next(self._numbers) & 0xFFFFFFFF)
        self._jobs[job.number] = job
        speak = WorkerFrame(FrameKind.SPEAK, job.number, json.dumps(request).encode())
        self._process.send(speak, expects_answer=True)
        try:
            yield job
        finally:
            self._jobs.pop(job.number, None)
            if job.active:
                self._process.send(WorkerFrame(FrameKind.CANCEL, job.number))

    # Called by the worker process ----------------------------------------------------------------------------------

    def on_start(self) -> None:
        WORKER_STARTS.inc()

    def on_handshake(self, frame: WorkerFrame) -> None:
        try:
            hello: dict[str, Any] = json.loads(frame.payload) if frame.kind == FrameKind.HELLO else {}
            protocol, rate_hz, engine_version = hello.get("protocol"), hello.get("rate_hz"), hello.get("version")
        except (ValueError, AttributeError) as error:
            raise EngineFailed(_MALFORMED, "the worker's handshake is not a JSON object") from error
        if protocol != PROTOCOL:
            raise EngineFailed("tts.worker_protocol", f"the worker speaks protocol {protocol}")
        if rate_hz != self._rate_hz:
            raise EngineFailed("tts.worker_rate", f"the worker speaks at {rate_hz} Hz")
        self.version = str(engine_version)

    def on_frame(self, frame: WorkerFrame) -> bool:
        job = self._jobs.get(frame.number)
        match frame.kind:
            case FrameKind.END | FrameKind.FAILED:
                if job is not None:
                    reason = frame.payload.decode("utf-8", "replace")
                    job.end(EngineFailed("tts.engine_failed", reason) if frame.kind == FrameKind.FAILED else None)
                return True
            case FrameKind.AUDIO | FrameKind.WORD:
                # A cancelled job may still send until it reads the cancel.
                if job is not None and not job.add_piece(_piece(frame)):
                    self._jobs.pop(frame.number)
                    self._process.send(WorkerFrame(FrameKind.CANCEL, frame.number))
                return False
            case _:
                raise EngineFailed(_MALFORMED, f"the worker sent a frame of kind {frame.kind}")

    def on_exit(self) -> None:
        for job in self._jobs.values():
            job.end(EngineFailed("tts.worker_died", "the engine's worker died"))
        self._jobs.clear()


def _piece(frame: WorkerFrame) -> Speech:
    """Raises `EngineFailed` unless the payload is whole samples or a word's place."""
    if frame.kind == FrameKind.AUDIO and len(frame.payload) % SAMPLE_BYTES == 0:
        return Samples(to_float(frame.payload))
    if frame.kind == FrameKind.WORD and len(frame.payload) == WORD.size:
        return Word(*WORD.unpack(frame.payload))
    raise EngineFailed(_MALFORMED, f"the worker sent {len(frame.payload)} bytes of {FrameKind(frame.kind).name}")
