"""The service's end of a decoder process: streams send it audio and get its hypotheses."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from service_kit.audio import MICROPHONE
from service_kit.engines.worker_frames import WorkerFrame
from service_kit.engines.worker_process import WorkerOptions, WorkerProcess
from service_kit.errors import AnchorError, EngineFailed, NotReady

from stt_service.engines.pocketsphinx.decoding import DecoderSpec
from stt_service.engines.pocketsphinx.frames import SCORE, Kind
from stt_service.engines.pocketsphinx.hypotheses import Hypothesis, clean

# Undecoded audio of one stream at the process; above it, `wait_capacity` waits.
MAX_UNDECODED_BYTES = MICROPHONE.bytes_for(1000)
# A decoder loads in about a second; a busy machine takes longer.
_START_S = 60.0
# A process that owes an answer and uses no processor time for so long is replaced; where the system does not tell its
# processor time, one that sends nothing for longer than a piece of audio takes on a busy machine.
STALLED_S = 1.5
_HANG_S = 5.0
# How long a new stream waits for a process that is being replaced.
REPLACED_WITHIN_S = 3.0
RESTART_PAUSE_S = 0.5
# Failed restarts in a row after which the engine gives up.
MAX_FAILED_STARTS = 3
_FAILED = "stt.engine_failed"


class DecodingFailed(EngineFailed):
    """The process that decoded for a stream is gone."""

    def __init__(self, name: str) -> None:
        super().__init__(_FAILED, f"the {name} decoder process is gone")


class DecoderProcess:
    """One process of decoders and its replacements; `supervise` keeps one running."""

    def __init__(self, name: str, spec: DecoderSpec) -> None:
        self.name = name
        options = WorkerOptions(
            name=f"{name} decoder process",
            command=(sys.executable, "-m", "stt_service.engines.pocketsphinx.decoding", spec.to_json()),
            start_s=_START_S,
            hang_s=_HANG_S,
            restart_delays_s=(RESTART_PAUSE_S,),
            max_failed_restarts=MAX_FAILED_STARTS,
            unavailable_code=_FAILED,
            malformed_code=_FAILED,
            stall_s=STALLED_S,
        )
        self._process = WorkerProcess(options, self)
        self._numbers = itertools.count(1)
        self._streams: dict[int, RemoteDecoder] = {}

    @property
    def pid(self) -> int | None:
        """The process id; None while there is no process."""
        return self._process.pid

    @property
    def stream_count(self) -> int:
        """The number of streams it decodes for."""
        return len(self._streams)

    async def supervise(self) -> None:
        """Keep a process running until cancelled.

        Raises `EngineFailed` when the first process does not become ready, or `MAX_FAILED_STARTS` replacements in a
        row do not.
        """
        await self._process.run()

    async def wait_ready(self, within_s: float | None = None) -> None:
        """Wait for a process that can work. Raises `NotReady` after `within_s` seconds."""
        try:
            async with asyncio.timeout(within_s):
                await self._process.wait_ready()
        except TimeoutError as error:
            raise NotReady("stt.not_ready", f"the {self.name} decoder process is being replaced") from error

    @asynccontextmanager
    async def open(self, on_partial: Callable[[str], None] | None = None) -> AsyncGenerator[RemoteDecoder]:
        """Begin a stream; `on_partial` is called with each new text of the current utterance."""
        await self.wait_ready(REPLACED_WITHIN_S)
        number = next(self._numbers)
        decoder = self._streams[number] = RemoteDecoder(self._process, number, on_partial)
        try:
            self._process.send(WorkerFrame(Kind.OPEN, number, b"\1" if on_partial else b"\0"))
            yield decoder
        finally:
            if self._streams.pop(number, None) and decoder.error is None:
                self._process.send(WorkerFrame(Kind.CLOSE, number))

    # Called by the worker process ----------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Do nothing: the starts of decoder processes are not counted."""

    def on_handshake(self, frame: WorkerFrame) -> None:
        if frame.kind != Kind.READY:
            raise EngineFailed(_FAILED, f"the {self.name} decoder process sent a frame of kind {frame.kind} first")

    def on_frame(self, frame: WorkerFrame) -> bool:
        if frame.kind not in (Kind.DECODED, Kind.UTTERANCE):
            raise EngineFailed(_FAILED, f"the {self.name} decoder process sent a frame of kind {frame.kind}")
        # A stream that was closed gets the rest of its answers.
        if stream := self._streams.get(frame.number):
            stream.on_answer(frame)
        return True

    def on_exit(self) -> None:
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.fail(DecodingFailed(self.name))


class RemoteDecoder:
    """A stream's decoder in another process."""

    def __init__(self, process: WorkerProcess, number: int, on_partial: Callable[[str], None] | None) -> None:
        self._process = process
        self._number = number
        self._on_partial = on_partial
        self._undecoded: deque[int] = deque()
        self._unheard_bytes = 0
        self._room = asyncio.Event()
        self._room.set()
        self._ends: deque[asyncio.Future[Hypothesis]] = deque()
        self.error: AnchorError | None = None
        # Set together with `error`.
        self.failed = asyncio.get_running_loop().create_future()

    async def wait_capacity(self) -> None:
        """Wait while a second of audio is undecoded. Raises `EngineFailed` when the process dies or stalls."""
        await self._room.wait()
        self._check()

    def push_audio(self, pcm: bytes) -> None:
        """Send audio; call `wait_capacity` first."""
        self._check()
        self._undecoded.append(len(pcm))
        self._unheard_bytes += len(pcm)
        if self._unheard_bytes >= MAX_UNDECODED_BYTES:
            self._room.clear()
        self._process.send(WorkerFrame(Kind.AUDIO, self._number, pcm), expects_answer=True)

    def end_utterance(self) -> asyncio.Future[Hypothesis]:
        """End the utterance; its reading becomes the future's result."""
        self._check()
        end: asyncio.Future[Hypothesis] = asyncio.get_running_loop().create_future()
        self._ends.append(end)
        self._process.send(WorkerFrame(Kind.END, self._number), expects_answer=True)
        return end

    async def utterance(self) -> Hypothesis:
        """End the utterance and return its reading. Raises `EngineFailed` when the process dies or stalls."""
        return await self.end_utterance()

    def on_answer(self, frame: WorkerFrame) -> None:
        """Handle an answer of the process."""
        if frame.kind == Kind.UTTERANCE:
            end = self._ends.popleft()
            if not end.done():
                (score,) = SCORE.unpack_from(frame.payload)
                end.set_result(Hypothesis(clean(frame.payload[SCORE.size :].decode()), score))
            return
        self._unheard_bytes -= self._undecoded.popleft()
        if self._unheard_bytes < MAX_UNDECODED_BYTES:
            self._room.set()
        if frame.payload and self._on_partial:
            self._on_partial(clean(frame.payload.decode()))

    def fail(self, error: AnchorError) -> None:
        """Fail the stream: its waits and further calls raise `error`."""
        self.error = error
        self._room.set()
        for end in self._ends:
            if not end.done():
                end.set_exception(error)
        self.failed.set_result(None)

    def _check(self) -> None:
        if self.error is not None:
            raise self.error
