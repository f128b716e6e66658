"""The service's end of a transcription process: sends clips and gets their transcripts."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from service_kit.audio import MICROPHONE
from service_kit.engines.worker_frames import WorkerFrame
from service_kit.engines.worker_process import WorkerOptions, WorkerProcess
from service_kit.errors import EngineFailed, NotReady

from stt_service.engines.whisper.decoding import ClipOptions
from stt_service.engines.whisper.frames import ClipFrameKind, clip_payload, read_description, read_transcript
from stt_service.engines.whisper.worker_spec import WorkerSpec
from stt_service.retranscribing.recogniser import ClipTranscript

FAILED = "stt.engine_failed"
# A model loads in a second; a busy machine, or a large model for a GPU, takes longer.
_START_S = 120.0
# A process that owes a transcript and uses no processor time for so long is replaced. On a GPU, and where the system
# does not tell its processor time, so is one that sends nothing for longer than any clip takes on a busy machine.
STALL_S = 1.5
_HANG_S = 45.0
# The processor time of a clip, and of each second of it, before the process counts as hung; wider beams take more. The
# most work is 28 s that reach the bounds of all four decodings: 11 s on the reference machine, 17 s with a beam of 5,
# and 45 s and 91 s of real time beside ten other busy programs.
_CLIP_S = 15.0
_CLIP_S_PER_S = 1.0
# How long a clip waits for a process that is being replaced.
REPLACED_WITHIN_S = 5.0
_RESTART_DELAYS_S = (0.2, 1.0, 5.0)
MAX_FAILED_STARTS = 3


class TranscriptionProcess:
    """One process and its replacements. The clips of a process that dies fail, and so do those that it cannot do."""

    def __init__(self, name: str, spec: WorkerSpec, max_failed_starts: int | None = MAX_FAILED_STARTS) -> None:
        """After so many failed restarts in a row, the body of `running` is cancelled; None: never."""
        self._name = name
        self._folder = spec.folder
        options = WorkerOptions(
            name=f"{name} process",
            command=(sys.executable, "-m", "stt_service.engines.whisper.worker", spec.to_json()),
            start_s=_START_S,
            hang_s=_HANG_S,
            restart_delays_s=_RESTART_DELAYS_S,
            max_failed_restarts=max_failed_starts,
            unavailable_code=FAILED,
            malformed_code=FAILED,
            stall_s=STALL_S if spec.device == "cpu" else None,
        )
        self._process = WorkerProcess(options, self)
        self._numbers = itertools.count(1)
        self._clips: dict[int, asyncio.Future[ClipTranscript]] = {}
        # Clips that the process may still be working on.
        self._cancelled: set[int] = set()
        # Of the loaded model; empty before.
        self.languages: tuple[str, ...] = ()

    @property
    def pid(self) -> int | None:
        """The process id; None while there is no process."""
        return self._process.pid

    @property
    def ready(self) -> bool:
        """Whether a process has loaded its model."""
        return self._process.ready

    @property
    def has_cancelled_clips(self) -> bool:
        """Whether the process may still be working on a cancelled clip."""
        return bool(self._cancelled)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Keep a process running inside the context. Raises `EngineFailed` when the first one does not load."""
        async with self._process.running():
            yield

    async def transcribe(self, pcm: bytes, options: ClipOptions) -> ClipTranscript:
        """Transcribe a clip, 16 kHz mono PCM16. Cancelling the call cancels the clip.

        Raises `EngineFailed` when the model fails or the process dies, `NotReady` without a process for a while.
        """
        try:
            async with asyncio.timeout(REPLACED_WITHIN_S):
                await self._process.wait_ready()
        except TimeoutError as error:
            raise NotReady("stt.not_ready", f"the {self._name} process is being replaced") from error
        number = next(self._numbers)
        answer = self._clips[number] = asyncio.get_running_loop().create_future()
        try:
            allowed_s = (_CLIP_S + _CLIP_S_PER_S * MICROPHONE.ms_of(len(pcm)) / 1000) * options.beam_size
            frame = WorkerFrame(ClipFrameKind.CLIP, number, clip_payload(pcm, options))
            self._process.send(frame, expects_answer=True, allowed_s=allowed_s)
            return await answer
        except asyncio.CancelledError:
            if self._process.ready:
                self._process.send(WorkerFrame(ClipFrameKind.CANCEL, number))
                self._cancelled.add(number)
            raise
        finally:
            del self._clips[number]

    # Called by the worker process ----------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Do nothing: the starts are not counted."""

    def on_handshake(self, frame: WorkerFrame) -> None:
        if frame.kind == ClipFrameKind.FAILED:
            raise EngineFailed(FAILED, f"cannot load {self._name} from {self._folder}: {_text(frame.payload)}")
        if frame.kind != ClipFrameKind.READY:
            raise EngineFailed(FAILED, f"the {self._name} process sent a frame of kind {frame.kind} first")
        try:
            self.languages = read_description(frame.payload).languages
        except ValueError as error:
            raise EngineFailed(FAILED, f"the {self._name} process: {error}") from error

    def on_frame(self, frame: WorkerFrame) -> bool:
        if frame.kind not in (ClipFrameKind.TRANSCRIPT, ClipFrameKind.FAILED):
            raise EngineFailed(FAILED, f"the {self._name} process sent a frame of kind {frame.kind}")
        self._cancelled.discard(frame.number)
        answer = self._clips.get(frame.number)
        if frame.kind == ClipFrameKind.FAILED:
            if answer is not None and not answer.done():
                answer.set_exception(EngineFailed(FAILED, f"{self._name} failed: {_text(frame.payload)}"))
            return True
        try:
            clip = read_transcript(frame.payload)
        except ValueError as error:
            raise EngineFailed(FAILED, f"the {self._name} process: {error}") from error
        # A cancelled clip is answered too.
        if answer is not None and not answer.done():
            answer.set_result(clip)
        return True

    def on_exit(self) -> None:
        self._cancelled.clear()
        for answer in self._clips.values():
            if not answer.done():
                answer.set_exception(EngineFailed(FAILED, f"the {self._name} process is gone"))


def _text(payload: bytes) -> str:
    return payload[:1000].decode("utf-8", "replace")
