"""The half inside a worker, over real pipes, with a synthesizer that the test controls."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import pytest
from service_kit.engines.worker_frames import WorkerFrame
from tts_service.engines.phrase_worker.frames import MAX_PAYLOAD_BYTES, FrameKind, InvalidFrame, read_frame
from tts_service.engines.phrase_worker.server import CHUNK_MS, JobQueue, Sentence, Stop, Worker
from tts_service.engines.phrase_worker.shaping import SpokenWord

RATE_HZ = 24_000
CHUNK_BYTES = RATE_HZ * CHUNK_MS // 1000 * 2
WITHIN_S = 20.0


class Tones:
    """Speaks a second per sentence; waits for `go` before each when the request says so."""

    version = "1"
    rate_hz = RATE_HZ

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.started = threading.Event()
        self.stopped = threading.Event()

    def synthesize(self, request: Mapping[str, Any], stop: Stop) -> Iterator[Sentence]:
        for number in range(int(request["sentences"])):
            if request.get("waits"):
                self.started.set()
                with stop.calling(self.stopped.set):
                    assert self.go.acquire(timeout=WITHIN_S)
            if request.get("fault") == "nan":
                yield np.full(RATE_HZ, np.nan, np.float32), []
            elif request.get("fault"):
                raise RuntimeError("the model failed")
            else:
                words = [SpokenWord(number, 1, number * RATE_HZ), SpokenWord(number, 1, number * RATE_HZ + 20_000)]
                yield np.full(RATE_HZ, 0.25, np.float32), words


@contextmanager
def running(tones: Tones) -> Iterator[tuple[io.BufferedWriter, io.BufferedReader]]:
    (source, to_worker), (from_worker, sink) = os.pipe(), os.pipe()
    with os.fdopen(source, "rb") as pipe, os.fdopen(sink, "wb") as out, os.fdopen(from_worker, "rb") as reader:
        thread = threading.Thread(target=Worker(tones, pipe, out).run)
        thread.start()
        with os.fdopen(to_worker, "wb", buffering=0) as writer:
            yield cast(io.BufferedWriter, writer), reader
        thread.join(WITHIN_S)
        assert not thread.is_alive()


def job(number: int, **request: object) -> bytes:
    return WorkerFrame(FrameKind.SPEAK, number, json.dumps(request).encode()).encode()


def read_job(reader: io.BufferedReader) -> list[WorkerFrame]:
    """The frames up to the job's last one."""
    frames: list[WorkerFrame] = []
    while not frames or frames[-1].kind not in (FrameKind.END, FrameKind.FAILED):
        frame = read_frame(reader)
        assert frame is not None
        frames.append(frame)
    return frames


def test_incomplete_and_foreign_frames_are_not_read() -> None:
    frame = WorkerFrame(FrameKind.AUDIO, 7, b"abc")
    assert read_frame(io.BytesIO(frame.encode())) == frame
    assert read_frame(io.BytesIO(frame.encode()[:-1])) is None
    with pytest.raises(InvalidFrame):
        read_frame(io.BytesIO(b"\xff" * 9))
    with pytest.raises(InvalidFrame):
        read_frame(
            io.BytesIO(WorkerFrame(FrameKind.SPEAK, 1).encode()[:5] + (MAX_PAYLOAD_BYTES + 1).to_bytes(4, "little"))
        )


def test_speech_comes_in_short_pieces_with_each_word_before_its_audio() -> None:
    tones = Tones()
    with running(tones) as (writer, reader):
        writer.write(job(1, sentences=2))
        frames = read_job(reader)
    audio = [frame for frame in frames if frame.kind == FrameKind.AUDIO]
    assert all(len(frame.payload) == CHUNK_BYTES for frame in audio)
    assert len(audio) == 10
    # A word at 20000 samples of 24000 belongs to the last fifth of its second.
    assert [frame.kind.name[0] for frame in frames] == list("WAAAAWAWAAAAWAE")


@pytest.mark.parametrize("fault", ["nan", "error"])
def test_a_failing_model_fails_its_job_only(fault: str) -> None:
    with running(Tones()) as (writer, reader):
        writer.write(job(1, sentences=1, fault=fault) + job(2, sentences=1))
        (failed,) = read_job(reader)
        assert failed.kind is FrameKind.FAILED
        assert failed.number == 1
        assert read_job(reader)[-1].kind is FrameKind.END


@pytest.mark.parametrize("payload", [b"", b"not json", b"{}", b"[]", b'{"sentences": "x"}', b"\xff"])
def test_a_malformed_request_fails_its_job_only(payload: bytes) -> None:
    with running(Tones()) as (writer, reader):
        writer.write(WorkerFrame(FrameKind.SPEAK, 1, payload).encode() + job(2, sentences=1))
        assert read_job(reader)[0].kind is FrameKind.FAILED
        assert read_job(reader)[-1].kind is FrameKind.END


def test_a_cancelled_job_stops_its_model_and_waiting_ones_never_start() -> None:
    tones = Tones()
    with running(tones) as (writer, reader):
        writer.write(job(1, sentences=5, waits=True) + job(2, sentences=5) + job(3, sentences=1))
        assert tones.started.wait(WITHIN_S)
        writer.write(WorkerFrame(FrameKind.CANCEL, 2).encode() + WorkerFrame(FrameKind.CANCEL, 1).encode())
        assert tones.stopped.wait(WITHIN_S)
        tones.go.release()
        assert [frame.kind for frame in read_job(reader)] == [FrameKind.END]
        assert [frame.kind for frame in read_job(reader)] == [FrameKind.END]
        assert len(read_job(reader)) == 8


def test_the_end_of_the_input_ends_the_worker() -> None:
    tones = Tones()
    with running(tones) as (writer, _reader):
        writer.write(job(1, sentences=1, waits=True))
        assert tones.started.wait(WITHIN_S)
        tones.go.release()


def test_more_jobs_than_the_bound_are_refused() -> None:
    jobs = JobQueue()
    added = 0
    while jobs.add(WorkerFrame(FrameKind.SPEAK, added)):
        added += 1
        assert added < 10_000
    assert added == 256


def test_a_stop_calls_back_once_inside_its_context_only() -> None:
    stop, calls = Stop(), []
    with stop.calling(lambda: calls.append("first")):
        pass
    stop.request()
    assert calls == []
    with stop.calling(lambda: calls.append("second")):
        pass
    assert calls == ["second"]
