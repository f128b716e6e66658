"""Transcribes clips inside a transcription process: blocking, with a thread for each clip under way."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from service_kit.audio import to_float
from service_kit.engines.worker_frames import FRAME_HEADER, WorkerFrame

from stt_service.engines.whisper.decoding import ClipOptions, ModelOptions, WhisperModel
from stt_service.engines.whisper.features import Floats
from stt_service.engines.whisper.frames import ClipFrameKind, read_clip, transcript_payload, write_frame
from stt_service.engines.whisper.moonshine import LANGUAGE, MoonshineModel
from stt_service.engines.whisper.worker_spec import WorkerSpec
from stt_service.retranscribing.recogniser import ClipTranscript

IsCancelled = Callable[[], bool]


class ClipModel(Protocol):
    """A loaded model; its languages are ISO 639-1."""

    @property
    def languages(self) -> tuple[str, ...]: ...

    def transcribe_clip(self, samples: Floats, options: ClipOptions, is_cancelled: IsCancelled) -> ClipTranscript:
        """Transcribe `samples`, 16 kHz; any transcript once cancelled."""
        ...


class WhisperClips:
    """Whisper: a clip that runs cannot be stopped."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._model = WhisperModel(
            ModelOptions(spec.folder, spec.device, spec.compute_type, spec.threads, clips=spec.clips)
        )
        self.languages = self._model.languages

    def transcribe_clip(self, samples: Floats, options: ClipOptions, is_cancelled: IsCancelled) -> ClipTranscript:
        return self._model.transcribe(samples, options)


class MoonshineClips:
    """Moonshine: stops between two tokens."""

    languages = (LANGUAGE,)

    def __init__(self, spec: WorkerSpec) -> None:
        self._model = MoonshineModel(Path(spec.folder), spec.threads or 1)

    def transcribe_clip(self, samples: Floats, options: ClipOptions, is_cancelled: IsCancelled) -> ClipTranscript:
        return self._model.transcribe(samples, is_cancelled)


MODELS: dict[str, Callable[[WorkerSpec], ClipModel]] = {"whisper": WhisperClips, "moonshine": MoonshineClips}


class ClipServer:
    """Transcribes the clips of a process, up to `clips` at one time; later ones wait."""

    def __init__(self, model: ClipModel, clips: int, sink: BinaryIO) -> None:
        self._model = model
        self._threads = ThreadPoolExecutor(clips, "clip")
        self._sink = sink
        self._writing = threading.Lock()
        self._cancelled: dict[int, threading.Event] = {}

    def handle_frame(self, frame: WorkerFrame) -> None:
        """Begin or cancel a clip. Raises `ValueError` for an unexpected kind."""
        match frame.kind:
            case ClipFrameKind.CLIP:
                cancelled = self._cancelled[frame.number] = threading.Event()
                self._threads.submit(self._answer_clip, frame, cancelled)
            case ClipFrameKind.CANCEL:
                if cancelled := self._cancelled.get(frame.number):
                    cancelled.set()
            case _:
                raise ValueError(f"a transcription process does not accept kind {frame.kind}")

    def close(self) -> None:
        """Stop; clips that have not begun are dropped."""
        for cancelled in list(self._cancelled.values()):
            cancelled.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _answer_clip(self, frame: WorkerFrame, cancelled: threading.Event) -> None:
        try:
            pcm, options = read_clip(frame.payload)
            clip = ClipTranscript("")
            if not cancelled.is_set():
                clip = self._model.transcribe_clip(to_float(pcm), options, cancelled.is_set)
            self._write(ClipFrameKind.TRANSCRIPT, frame.number, transcript_payload(clip))
        except Exception as error:
            self._write(ClipFrameKind.FAILED, frame.number, _reason(error))
        finally:
            self._cancelled.pop(frame.number, None)

    def _write(self, kind: ClipFrameKind, number: int, payload: bytes) -> None:
        # Without a reader the service is gone, and the end of the input follows.
        with self._writing, suppress(BrokenPipeError):
            write_frame(self._sink, kind, number, payload)


def serve_clips(spec: WorkerSpec, source: BinaryIO, sink: BinaryIO) -> None:
    """Load the model of `spec` and transcribe the clips of `source` until its end; `sink` is unbuffered."""
    try:
        model = MODELS[spec.model](spec)
    except Exception as error:
        write_frame(sink, ClipFrameKind.FAILED, payload=_reason(error))
        return
    write_frame(sink, ClipFrameKind.READY, payload=json.dumps({"languages": model.languages}).encode())
    server = ClipServer(model, spec.clips, sink)
    try:
        for frame in _read_frames(source):
            server.handle_frame(frame)
    finally:
        server.close()


def _read_frames(source: BinaryIO) -> Iterator[WorkerFrame]:
    """Yield the frames of `source` until its end; an incomplete last frame is dropped."""
    while len(header := source.read(FRAME_HEADER.size)) == FRAME_HEADER.size:
        kind, number, size = FRAME_HEADER.unpack(header)
        payload = source.read(size)
        if len(payload) == size:
            yield WorkerFrame(kind, number, payload)


def _reason(error: Exception) -> bytes:
    return f"{type(error).__name__}: {error}"[:1000].encode()
