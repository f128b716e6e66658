"""The service's end of a decoder process: starts it, talks with it, replaces it when it dies."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

from service_kit.audio import MICROPHONE
from service_kit.errors import AnchorError, EngineFailed, NotReady

from stt_service.engines.pocketsphinx.decoding import DecoderSpec
from stt_service.engines.pocketsphinx.frames import HEADER, SCORE, Frame, Kind
from stt_service.engines.pocketsphinx.hypotheses import Hypothesis, clean

log = logging.getLogger(__name__)

# Audio of one stream that may be on its way to the process, undecoded; above it, `hear` waits.
MAX_UNHEARD_BYTES = MICROPHONE.bytes_for(1000)
# A process that does not answer for so long is ended.
STALLED_S = 10.0
# How long a new stream waits for a process that is being replaced.
REPLACED_WITHIN_S = 3.0
RESTART_PAUSE_S = 0.5
# So many processes in a row that never became ready are a fault that no further one would cure.
MAX_FAILED_STARTS = 3


class DecodingFailed(EngineFailed):
    """The process that decoded for a stream is gone."""

    def __init__(self, name: str) -> None:
        super().__init__("stt.engine_failed", f"the {name} decoder process is gone")


class DecoderProcess:
    """One process of decoders, and whatever takes its place; `supervise` keeps it alive."""

    def __init__(self, name: str, spec: DecoderSpec) -> None:
        self.name = name
        self._spec = spec
        self._ready = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._numbers = itertools.count(1)
        self._streams: dict[int, RemoteDecoder] = {}

    @property
    def pid(self) -> int | None:
        """The process' id, for those who watch its memory; None while there is none."""
        return self._process.pid if self._process else None

    @property
    def stream_count(self) -> int:
        """Streams that it decodes for."""
        return len(self._streams)

    async def supervise(self) -> None:
        """Keep a process alive until cancelled. Raises `EngineFailed` when none gets as far as being ready."""
        failed_starts = 0
        while True:
            failed_starts = 0 if await self._live() else failed_starts + 1
            if failed_starts >= MAX_FAILED_STARTS:
                raise EngineFailed("stt.engine_failed", f"the {self.name} decoder process does not start")
            await asyncio.sleep(RESTART_PAUSE_S)

    async def until_ready(self, within_s: float | None = None) -> None:
        """Wait for a process that can work. Raises `NotReady` after `within_s` seconds."""
        try:
            async with asyncio.timeout(within_s):
                await self._ready.wait()
        except TimeoutError as error:
            raise NotReady("stt.not_ready", f"the {self.name} decoder process is being replaced") from error

    @asynccontextmanager
    async def open(self, on_partial: Callable[[str], None] | None = None) -> AsyncGenerator[RemoteDecoder]:
        """Begin a stream; `on_partial` is called with each new text of the utterance at hand."""
        await self.until_ready(REPLACED_WITHIN_S)
        number = next(self._numbers)
        decoder = self._streams[number] = RemoteDecoder(self, number, on_partial)
        try:
            self.send(Frame(Kind.OPEN, number, b"\1" if on_partial else b"\0"))
            yield decoder
        finally:
            if self._streams.pop(number, None) and decoder.error is None:
                self.send(Frame(Kind.CLOSE, number))

    def send(self, frame: Frame) -> None:
        """Write `frame` to the process; its streams see to it that little is under way."""
        if self._process and self._process.stdin:
            self._process.stdin.write(frame.packed())

    def kill(self) -> None:
        """End a process that does not answer; `supervise` starts another."""
        if self._process and self._process.returncode is None:
            self._process.kill()

    async def _live(self) -> bool:
        """Start a process and hear it to its end; return whether it ever became ready."""
        started_s = time.monotonic()
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stt_service.engines.pocketsphinx.decoding", self._spec.to_json()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None  # noqa: S101 - asked for above
            while True:
                frame = await _read_frame(process.stdout)
                if frame is None:
                    break
                if frame.kind is Kind.READY:
                    seconds = round(time.monotonic() - started_s, 2)
                    log.info("decoder process ready", extra={"decoder": self.name, "seconds": seconds})
                    self._ready.set()
                elif stream := self._streams.get(frame.stream):
                    stream.answered(frame)
            await process.wait()
            log.error("decoder process died", extra={"decoder": self.name, "status": process.returncode})
            return self._ready.is_set()
        finally:
            self._ready.clear()
            self._fail_streams()
            self._process = None
            await _end(process)

    def _fail_streams(self) -> None:
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.fail(DecodingFailed(self.name))


class RemoteDecoder:
    """A stream's decoder in another process."""

    def __init__(self, process: DecoderProcess, number: int, on_partial: Callable[[str], None] | None) -> None:
        self._process = process
        self._number = number
        self._on_partial = on_partial
        self._unheard: deque[int] = deque()
        self._unheard_bytes = 0
        self._room = asyncio.Event()
        self._room.set()
        self._ends: deque[asyncio.Future[Hypothesis]] = deque()
        self.error: AnchorError | None = None
        # Set when `error` is; for whoever waits for something else.
        self.failed = asyncio.get_running_loop().create_future()

    async def until_room(self) -> None:
        """Wait while a second of audio is under way. Raises `EngineFailed` when the process dies or stalls."""
        try:
            async with asyncio.timeout(STALLED_S):
                await self._room.wait()
        except TimeoutError:
            self._process.kill()
            raise DecodingFailed(self._process.name) from None
        self._check()

    def hear(self, pcm: bytes) -> None:
        """Send audio; the caller has waited `until_room`."""
        self._check()
        self._unheard.append(len(pcm))
        self._unheard_bytes += len(pcm)
        if self._unheard_bytes >= MAX_UNHEARD_BYTES:
            self._room.clear()
        self._process.send(Frame(Kind.AUDIO, self._number, pcm))

    def end_utterance(self) -> asyncio.Future[Hypothesis]:
        """End the utterance; what was made of it comes as the future's result."""
        self._check()
        end: asyncio.Future[Hypothesis] = asyncio.get_running_loop().create_future()
        self._ends.append(end)
        self._process.send(Frame(Kind.END, self._number))
        return end

    async def utterance(self) -> Hypothesis:
        """End the utterance and return what was made of it. Raises `EngineFailed` when the process dies or stalls."""
        try:
            async with asyncio.timeout(STALLED_S):
                return await self.end_utterance()
        except TimeoutError:
            self._process.kill()
            raise DecodingFailed(self._process.name) from None

    def answered(self, frame: Frame) -> None:
        """Take in what the process says."""
        if frame.kind is Kind.UTTERANCE:
            end = self._ends.popleft()
            if not end.done():
                (score,) = SCORE.unpack_from(frame.payload)
                end.set_result(Hypothesis(clean(frame.payload[SCORE.size :].decode()), score))
            return
        self._unheard_bytes -= self._unheard.popleft()
        if self._unheard_bytes < MAX_UNHEARD_BYTES:
            self._room.set()
        if frame.payload and self._on_partial:
            self._on_partial(clean(frame.payload.decode()))

    def fail(self, error: AnchorError) -> None:
        """Raise `error` wherever the stream waits or asks next."""
        self.error = error
        self._room.set()
        for end in self._ends:
            if not end.done():
                end.set_exception(error)
        self.failed.set_result(None)

    def _check(self) -> None:
        if self.error is not None:
            raise self.error


async def _read_frame(source: asyncio.StreamReader) -> Frame | None:
    try:
        kind, stream, size = HEADER.unpack(await source.readexactly(HEADER.size))
        return Frame(Kind(kind), stream, await source.readexactly(size))
    except asyncio.IncompleteReadError:
        return None


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin:
        process.stdin.close()
    try:
        async with asyncio.timeout(1):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
