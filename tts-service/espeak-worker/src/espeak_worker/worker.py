"""The worker: one thread reads jobs, the main thread synthesises them in order."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from typing import Any, BinaryIO

from espeak_worker.espeak import Espeak, EspeakError, VoiceParameters, Word
from espeak_worker.frames import PROTOCOL, Frame, Kind, read_frame, word_frame

# More jobs than this are refused with FAILED; the host has one per stream.
MAX_JOBS = 1024


class JobQueue:
    """The waiting jobs, and the ids of cancelled ones. Shared by the two threads."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Frame | None] = queue.Queue(MAX_JOBS)
        self._lock = threading.Lock()
        self._open: set[int] = set()
        self._cancelled: set[int] = set()

    def add(self, frame: Frame) -> bool:
        """Add a job; return False when too many wait."""
        with self._lock:
            self._open.add(frame.job)
        try:
            self._waiting.put_nowait(frame)
        except queue.Full:
            self.finish(frame.job)
            return False
        return True

    def cancel(self, job: int) -> None:
        """Cancel `job`, running or waiting; does nothing if it has ended."""
        with self._lock:
            if job in self._open:
                self._cancelled.add(job)

    def is_cancelled(self, job: int) -> bool:
        """Whether `job` is cancelled."""
        return job in self._cancelled

    def finish(self, job: int) -> None:
        """Remove `job` after its end."""
        with self._lock:
            self._open.discard(job)
            self._cancelled.discard(job)

    def close(self) -> None:
        """Cancel all jobs; `next` then returns None after the waiting ones."""
        with self._lock:
            self._cancelled |= self._open
        self._waiting.put(None)

    def next(self) -> Frame | None:
        """Wait for the next job; None after `close`."""
        return self._waiting.get()


class Worker:
    """Reads jobs from `source`, and writes their speech to `sink`."""

    def __init__(self, espeak: Espeak, source: BinaryIO, sink: BinaryIO) -> None:
        self._espeak = espeak
        self._source = source
        self._sink = sink
        # Both threads write frames.
        self._write_lock = threading.Lock()
        self._jobs = JobQueue()

    def run(self) -> None:
        """Send the hello, then process jobs until the source ends or the sink breaks."""
        hello = {
            "protocol": PROTOCOL,
            "engine": "espeak-ng",
            "version": self._espeak.version,
            "rate_hz": self._espeak.rate_hz,
        }
        self._write(Frame(Kind.HELLO, 0, json.dumps(hello).encode()).encode())
        threading.Thread(target=self._read, name="read", daemon=True).start()
        while (frame := self._jobs.next()) is not None:
            self._write(self._process_job(frame).encode())

    def _read(self) -> None:
        try:
            while (frame := read_frame(self._source)) is not None:
                if frame.kind is Kind.CANCEL:
                    self._jobs.cancel(frame.job)
                elif frame.kind in (Kind.SPEAK, Kind.PHONEMIZE) and not self._jobs.add(frame):
                    self._write(Frame(Kind.FAILED, frame.job, b"too many jobs").encode())
        finally:
            self._jobs.close()

    def _process_job(self, frame: Frame) -> Frame:
        """Synthesise or phonemise a job; return its last frame."""
        try:
            if self._jobs.is_cancelled(frame.job):
                return Frame(Kind.END, frame.job)
            request: dict[str, Any] = json.loads(frame.payload)
            if frame.kind is Kind.PHONEMIZE:
                self._phonemize(frame.job, request)
            else:
                self._synthesize(frame.job, request)
        except (EspeakError, ValueError, KeyError, TypeError) as error:
            return Frame(Kind.FAILED, frame.job, str(error).encode())
        finally:
            self._jobs.finish(frame.job)
        return Frame(Kind.END, frame.job)

    def _phonemize(self, job: int, request: dict[str, Any]) -> None:
        phonemes = [self._espeak.phonemize(str(text), str(request["voice"])) for text in request["texts"]]
        self._write(Frame(Kind.PHONEMES, job, json.dumps(phonemes, ensure_ascii=False).encode()).encode())

    def _synthesize(self, job: int, request: dict[str, Any]) -> None:
        def on_chunk(words: list[Word], pcm: bytes) -> bool:
            if self._jobs.is_cancelled(job):
                return False
            frames = [word_frame(job, word.first_char, word.chars, word.first_sample) for word in words]
            if pcm:
                frames.append(Frame(Kind.AUDIO, job, pcm))
            self._write(b"".join(each.encode() for each in frames))
            return True

        values = (int(request[name]) for name in ("rate_wpm", "pitch", "range"))
        parameters = VoiceParameters(str(request["voice"]), *values)
        self._espeak.synthesize(str(request["text"]), parameters, on_chunk)

    def _write(self, encoded: bytes) -> None:
        with self._write_lock:
            self._sink.write(encoded)
            self._sink.flush()


def main() -> None:
    """Process jobs over standard input and output until the input ends."""
    # Other output would corrupt the frames: duplicate the real standard output, and redirect its descriptor to stderr.
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        Worker(Espeak(), sys.stdin.buffer, sink).run()
    except BrokenPipeError:
        # The host has exited.
        sys.exit(1)
