"""The half inside a worker process: one thread reads jobs, the main thread speaks them in order of arrival.

A worker has no sockets and imports nothing of the service but this package, so that it stays small.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray
from service_kit.audio import to_pcm
from service_kit.engines.worker_frames import WorkerFrame

from tts_service.engines.phrase_worker.frames import PROTOCOL, WORD, FrameKind, read_frame
from tts_service.engines.phrase_worker.shaping import SpokenWord

# The host has one job per reply and refuses more than it allows; more than this are refused here.
MAX_JOBS = 256
# Length of one frame of audio; a cancelled job stops after it.
CHUNK_MS = 200

# The speech of a sentence or of a part of one: float32 [n], and its words, whose places count from the job's start.
Sentence = tuple[NDArray[np.float32], list[SpokenWord]]


class Synthesizer(Protocol):
    """A loaded model, used by one thread."""

    version: str
    rate_hz: int

    def synthesize(self, request: Mapping[str, Any], stop: Stop) -> Iterator[Sentence]:
        """Speak the request, a sentence at a time. Raises `ValueError` or `KeyError` for a malformed request."""
        ...


class Stop:
    """Whether a job is cancelled; a model that can be stopped within a sentence adds how."""

    def __init__(self) -> None:
        self.requested = False
        self._lock = threading.Lock()
        self._callback: Callable[[], None] = _do_nothing

    def request(self) -> None:
        """Cancel the job; stops the model where it can be stopped."""
        with self._lock:
            self.requested = True
            self._callback()

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Generator[None]:
        """Call `callback` once when the job is cancelled inside the context, or was before."""
        with self._lock:
            self._callback = callback
            if self.requested:
                callback()
        try:
            yield
        finally:
            with self._lock:
                self._callback = _do_nothing


class JobQueue:
    """The waiting jobs, and how each is stopped. Shared by the two threads."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[WorkerFrame | None] = queue.Queue(MAX_JOBS)
        self._lock = threading.Lock()
        self._stops: dict[int, Stop] = {}

    def add(self, frame: WorkerFrame) -> bool:
        """Add a job; return False when too many wait."""
        with self._lock:
            self._stops[frame.number] = Stop()
        try:
            self._waiting.put_nowait(frame)
        except queue.Full:
            self.finish(frame.number)
            return False
        return True

    def cancel(self, job: int) -> None:
        """Cancel `job`, running or waiting; does nothing if it has ended."""
        with self._lock:
            stop = self._stops.get(job)
        if stop is not None:
            stop.request()

    def stop_of(self, job: int) -> Stop:
        """How `job`, which has not ended, is stopped."""
        with self._lock:
            return self._stops[job]

    def finish(self, job: int) -> None:
        """Remove `job` after its end."""
        with self._lock:
            self._stops.pop(job, None)

    def close(self) -> None:
        """Cancel all jobs; `next` then returns None after the waiting ones."""
        with self._lock:
            stops = list(self._stops.values())
        for stop in stops:
            stop.request()
        self._waiting.put(None)

    def next(self) -> WorkerFrame | None:
        """Wait for the next job; None after `close`."""
        return self._waiting.get()


class Worker:
    """Reads jobs from `source` and writes their speech to `sink`."""

    def __init__(self, synthesizer: Synthesizer, source: BinaryIO, sink: BinaryIO) -> None:
        self._synthesizer = synthesizer
        self._source = source
        self._sink = sink
        # Both threads write frames.
        self._write_lock = threading.Lock()
        self._jobs = JobQueue()

    def run(self) -> None:
        """Speak jobs until the source ends or the sink breaks."""
        threading.Thread(target=self._read, name="read", daemon=True).start()
        while (frame := self._jobs.next()) is not None:
            last = self._process_job(frame)
            self._jobs.finish(frame.number)
            self._write(last.encode())

    def _read(self) -> None:
        try:
            while (frame := read_frame(self._source)) is not None:
                if frame.kind == FrameKind.CANCEL:
                    self._jobs.cancel(frame.number)
                elif frame.kind == FrameKind.SPEAK and not self._jobs.add(frame):
                    self._write(WorkerFrame(FrameKind.FAILED, frame.number, b"too many jobs").encode())
        finally:
            self._jobs.close()

    def _process_job(self, frame: WorkerFrame) -> WorkerFrame:
        """Speak a job; return its last frame."""
        stop = self._jobs.stop_of(frame.number)
        if stop.requested:
            return WorkerFrame(FrameKind.END, frame.number)
        try:
            start = 0
            for samples, words in self._synthesizer.synthesize(json.loads(frame.payload), stop):
                if not self._write_sentence(frame.number, stop, start, samples, words):
                    break
                start += samples.size
        # What a model raises on odd input is its own; it fails this job only, and the host is told.
        except Exception as error:
            # A model that was stopped says so with an error.
            if stop.requested:
                return WorkerFrame(FrameKind.END, frame.number)
            return WorkerFrame(FrameKind.FAILED, frame.number, f"{type(error).__name__}: {error}".encode())
        return WorkerFrame(FrameKind.END, frame.number)

    def _write_sentence(
        self, job: int, stop: Stop, start: int, samples: NDArray[np.float32], words: list[SpokenWord]
    ) -> bool:
        """Write the speech, each word with the audio that it starts in; return False when the job was cancelled.

        `start` is where the samples begin in the job's speech.
        """
        if not np.isfinite(samples).all():
            raise ValueError("the model returned samples that are NaN or infinite")
        chunk = self._synthesizer.rate_hz * CHUNK_MS // 1000
        waiting = list(words)
        for first in range(0, samples.size, chunk):
            if stop.requested:
                return False
            frames: list[WorkerFrame] = []
            while waiting and waiting[0].first_sample < start + first + chunk:
                word = waiting.pop(0)
                payload = WORD.pack(word.first_char, word.chars, word.first_sample)
                frames.append(WorkerFrame(FrameKind.WORD, job, payload))
            frames.append(WorkerFrame(FrameKind.AUDIO, job, to_pcm(samples[first : first + chunk])))
            self._write(b"".join(frame.encode() for frame in frames))
        return True

    def _write(self, encoded: bytes) -> None:
        with self._write_lock:
            self._sink.write(encoded)
            self._sink.flush()


def _do_nothing() -> None:
    pass


def run_worker(name: str, load: Callable[[], Synthesizer], isolated: bool) -> None:
    """Load the model and speak jobs over standard input and output until the input ends.

    The first frame is HELLO, or FAILED with the reason why there is no model. `isolated`: whether the kernel refuses
    sockets to this process.
    """
    # Other output would corrupt the frames: duplicate the real standard output, and redirect its descriptor to stderr.
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        try:
            synthesizer = load()
        except Exception as error:
            sink.write(WorkerFrame(FrameKind.FAILED, 0, str(error).encode()).encode())
            sink.flush()
            sys.exit(1)
        hello = {
            "protocol": PROTOCOL,
            "engine": name,
            "version": synthesizer.version,
            "rate_hz": synthesizer.rate_hz,
            "isolated": isolated,
        }
        sink.write(WorkerFrame(FrameKind.HELLO, 0, json.dumps(hello).encode()).encode())
        sink.flush()
        Worker(synthesizer, sys.stdin.buffer, sink).run()
    except BrokenPipeError:
        # The host has exited.
        sys.exit(1)
