"""The service's half: runs a worker process, sends it phrases and passes on the speech that it sends back."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from service_kit.audio import SAMPLE_BYTES, to_float
from service_kit.engines.worker_frames import WorkerFrame
from service_kit.engines.worker_process import WorkerOptions, WorkerProcess
from service_kit.errors import AtCapacity, EngineFailed, Unsupported

from tts_service.engine import Samples, Speech, Word
from tts_service.engines.phrase_worker.frames import PROTOCOL, WORD, FrameKind
from tts_service.metrics import WORKER_STARTS

# Unread pieces of one phrase. A piece is up to 200 ms, so only an engine that speaks without end reaches this, and its
# phrase fails.
MAX_WAITING_PIECES = 2048
_RESTART_DELAYS_S = (0.05, 0.2, 1.0, 2.0)
_MALFORMED = "tts.worker_garbled"


@dataclass(frozen=True, slots=True)
class PhraseWorkerOptions:
    """The worker of one engine; times in seconds."""

    # In logs and error messages, such as "espeak worker".
    name: str
    command: Sequence[str]
    # The sample rate that its handshake must name.
    rate_hz: int
    # Deadline for its handshake.
    start_s: float = 10.0
    # A worker that owes a phrase and sends nothing for so long is replaced.
    hang_s: float = 3.0
    # How long a phrase waits for a worker that is being replaced.
    ready_s: float = 10.0
    # Phrases at the worker at the same time; more are refused.
    max_jobs: int = 1024
    # Give up after so many failed restarts in a row; None: never.
    max_failed_restarts: int | None = None
    # The worker's whole environment; None for the service's own.
    environment: Mapping[str, str] | None = None


class Job:
    """One phrase at the worker: an async iterator of its speech."""

    def __init__(self, number: int) -> None:
        self.number = number
        # Whether the worker still works on it.
        self.active = True
        self._pieces: asyncio.Queue[Speech | str | EngineFailed | None] = asyncio.Queue(MAX_WAITING_PIECES + 1)

    def __aiter__(self) -> Job:
        return self

    async def __anext__(self) -> Speech:
        piece = await self.next_piece()
        if piece is None:
            raise StopAsyncIteration
        if isinstance(piece, str):
            raise EngineFailed(_MALFORMED, "the worker sent phonemes for a phrase to speak")
        return piece

    async def next_piece(self) -> Speech | str | None:
        """The next piece; None after the last. Raises the job's failure."""
        piece = await self._pieces.get()
        if isinstance(piece, EngineFailed):
            raise piece
        return piece

    def add_piece(self, piece: Speech | str) -> bool:
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


class PhraseWorker:
    """A worker process that speaks phrases, replaced when it dies."""

    def __init__(self, options: PhraseWorkerOptions) -> None:
        self._options = options
        self._process = WorkerProcess(
            WorkerOptions(
                name=options.name,
                command=options.command,
                start_s=options.start_s,
                hang_s=options.hang_s,
                restart_delays_s=_RESTART_DELAYS_S,
                max_failed_restarts=options.max_failed_restarts,
                unavailable_code="tts.worker_unavailable",
                malformed_code=_MALFORMED,
                environment=options.environment,
            ),
            self,
        )
        self._numbers = itertools.count(1)
        # Jobs with a listener.
        self._jobs: dict[int, Job] = {}
        self.version = ""
        # Whether the kernel refuses sockets to the worker, as its handshake says.
        self.isolated = False

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
    async def speak(self, request: Mapping[str, object]) -> AsyncGenerator[Job]:
        """Speak one phrase; leaving the context cancels the rest of it.

        Raises `AtCapacity` when the worker has as many as it may have, `EngineFailed` when it is being replaced.
        """
        async with self._open_job(FrameKind.SPEAK, request) as job:
            yield job

    async def phonemize(self, request: Mapping[str, object]) -> list[str]:
        """Return the phonemes of each text in the request. Raises what `speak` raises."""
        async with self._open_job(FrameKind.PHONEMIZE, request) as job:
            phonemes = await job.next_piece()
        if not isinstance(phonemes, str):
            raise EngineFailed(_MALFORMED, "the worker sent no phonemes")
        return _phonemes(phonemes)

    @asynccontextmanager
    async def _open_job(self, kind: FrameKind, request: Mapping[str, object]) -> AsyncGenerator[Job]:
        await self._wait_ready()
        if len(self._jobs) >= self._options.max_jobs:
            raise AtCapacity("tts.slots_busy", f"the {self._options.name} has {len(self._jobs)} phrases; retry later")
        # Job numbers have 32 bits in a frame.
        job = Job(next(self._numbers) & 0xFFFFFFFF)
        self._jobs[job.number] = job
        self._process.send(WorkerFrame(kind, job.number, json.dumps(request).encode()), expects_answer=True)
        try:
            yield job
        finally:
            self._jobs.pop(job.number, None)
            if job.active:
                self._process.send(WorkerFrame(FrameKind.CANCEL, job.number))

    async def _wait_ready(self) -> None:
        try:
            async with asyncio.timeout(self._options.ready_s):
                await self._process.wait_ready()
        except TimeoutError as error:
            raise EngineFailed("tts.worker_unavailable", f"the {self._options.name} is being replaced") from error

    # Called by the worker process ----------------------------------------------------------------------------------

    def on_start(self) -> None:
        WORKER_STARTS.inc()

    def on_handshake(self, frame: WorkerFrame) -> None:
        if frame.kind == FrameKind.FAILED:
            raise EngineFailed("tts.model_broken", frame.payload.decode("utf-8", "replace"))
        try:
            hello: dict[str, Any] = json.loads(frame.payload) if frame.kind == FrameKind.HELLO else {}
            protocol, rate_hz, engine_version = hello.get("protocol"), hello.get("rate_hz"), hello.get("version")
        except (ValueError, AttributeError, RecursionError) as error:
            raise EngineFailed(_MALFORMED, "the worker's handshake is not a JSON object") from error
        if protocol != PROTOCOL:
            raise EngineFailed("tts.worker_protocol", f"the worker speaks protocol {protocol}")
        if rate_hz != self._options.rate_hz:
            raise EngineFailed("tts.worker_rate", f"the worker speaks at {rate_hz} Hz")
        self.version = str(engine_version)
        self.isolated = hello.get("isolated") is True

    def on_frame(self, frame: WorkerFrame) -> bool:
        job = self._jobs.get(frame.number)
        match frame.kind:
            case FrameKind.END | FrameKind.FAILED:
                if job is not None:
                    reason = frame.payload.decode("utf-8", "replace")
                    job.end(EngineFailed("tts.engine_failed", reason) if frame.kind == FrameKind.FAILED else None)
                return True
            case FrameKind.AUDIO | FrameKind.WORD | FrameKind.PHONEMES:
                # A cancelled job may still send until it reads the cancel.
                if job is not None and not job.add_piece(_piece(frame)):
                    self._jobs.pop(frame.number)
                    self._process.send(WorkerFrame(FrameKind.CANCEL, frame.number))
                return False
            case _:
                raise EngineFailed(_MALFORMED, f"the worker sent a frame of kind {frame.kind}")

    def on_exit(self) -> None:
        for job in self._jobs.values():
            job.end(EngineFailed("tts.worker_died", f"the {self._options.name} died"))
        self._jobs.clear()


async def require_sound(speech: AsyncIterator[Speech]) -> AsyncGenerator[Speech]:
    """Pass `speech` on. Raises `Unsupported` when it holds no sound: the voice has no sounds for the text."""
    has_sound = False
    async for piece in speech:
        has_sound = has_sound or (isinstance(piece, Samples) and piece.samples.size > 0)
        yield piece
    if not has_sound:
        raise Unsupported("tts.unspeakable", "the voice cannot say any character of the phrase")


def _piece(frame: WorkerFrame) -> Speech | str:
    """Raises `EngineFailed` unless the payload is whole samples, a word's place or text."""
    if frame.kind == FrameKind.AUDIO and len(frame.payload) % SAMPLE_BYTES == 0:
        return Samples(to_float(frame.payload))
    if frame.kind == FrameKind.WORD and len(frame.payload) == WORD.size:
        return Word(*WORD.unpack(frame.payload))
    if frame.kind == FrameKind.PHONEMES:
        return frame.payload.decode("utf-8", "replace")
    raise EngineFailed(_MALFORMED, f"the worker sent {len(frame.payload)} bytes of {FrameKind(frame.kind).name}")


def _phonemes(payload: str) -> list[str]:
    try:
        phonemes: Any = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise EngineFailed(_MALFORMED, "the worker's phonemes are not JSON") from error
    if not isinstance(phonemes, list) or not all(isinstance(each, str) for each in cast(list[object], phonemes)):
        raise EngineFailed(_MALFORMED, "the worker's phonemes are not a list of texts")
    return cast(list[str], phonemes)
