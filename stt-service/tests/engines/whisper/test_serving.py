"""The transcription process from inside: its clips, their cancellation and their failures, without a model."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from service_kit.engines.worker_frames import FRAME_HEADER, WorkerFrame
from stt_service.engines.whisper import serving
from stt_service.engines.whisper.decoding import ClipOptions
from stt_service.engines.whisper.frames import ClipFrameKind, clip_payload, read_description, read_transcript
from stt_service.engines.whisper.serving import ClipServer, serve_clips
from stt_service.engines.whisper.worker_spec import WorkerSpec
from stt_service.retranscribing.recogniser import ClipTranscript

WITHIN_S = 20


class GatedModel:
    """Waits in each clip until the gate opens or the clip is cancelled; its text is the number of samples."""

    languages = ("en",)

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.gate = threading.Event()

    def transcribe_clip(
        self, samples: np.ndarray[Any, Any], options: ClipOptions, is_cancelled: Callable[[], bool]
    ) -> ClipTranscript:
        self.began.release()
        while not self.gate.wait(0.005):
            if is_cancelled():
                return ClipTranscript("cancelled")
        if len(samples) == 1:
            raise RuntimeError("out of memory")
        return ClipTranscript(str(len(samples)), options.language)


class Answers:
    """The process's output, read frame by frame."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self._changed = threading.Condition()

    def write(self, data: Any) -> int:
        with self._changed:
            self._written.append(bytes(data))
            self._changed.notify_all()
        return len(data)

    def wait(self, count: int) -> list[WorkerFrame]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._written) >= count, WITHIN_S)
            return [
                WorkerFrame(*FRAME_HEADER.unpack(one[: FRAME_HEADER.size])[:2], one[FRAME_HEADER.size :])
                for one in self._written
            ]


def clip(number: int, samples: int, language: str = "en") -> WorkerFrame:
    return WorkerFrame(ClipFrameKind.CLIP, number, clip_payload(bytes(2 * samples), ClipOptions(language)))


@pytest.fixture
def model() -> GatedModel:
    return GatedModel()


@pytest.fixture
def answers() -> Answers:
    return Answers()


def test_as_many_clips_run_at_one_time_as_allowed(model: GatedModel, answers: Any) -> None:
    server = ClipServer(model, 2, answers)
    for number in (1, 2, 3):
        server.handle_frame(clip(number, 10 * number))
    assert model.began.acquire(timeout=WITHIN_S)
    assert model.began.acquire(timeout=WITHIN_S)
    assert not model.began.acquire(timeout=0.05)
    model.gate.set()
    texts = {frame.number: read_transcript(frame.payload).text for frame in answers.wait(3)}
    assert texts == {1: "10", 2: "20", 3: "30"}
    server.close()


def test_a_cancelled_clip_is_answered_and_frees_its_place(model: GatedModel, answers: Any) -> None:
    server = ClipServer(model, 1, answers)
    server.handle_frame(clip(1, 10))
    server.handle_frame(clip(2, 20))
    server.handle_frame(clip(3, 30))
    assert model.began.acquire(timeout=WITHIN_S)
    # One that has not begun, one that has, and one that is not there.
    for number in (2, 1, 9):
        server.handle_frame(WorkerFrame(ClipFrameKind.CANCEL, number))
    model.gate.set()
    by_number = {frame.number: read_transcript(frame.payload).text for frame in answers.wait(3)}
    assert by_number[2] == ""
    assert by_number[3] == "30"
    assert by_number[1] in ("cancelled", "10")
    server.close()


def test_a_failing_clip_is_answered_with_the_reason(model: GatedModel, answers: Any) -> None:
    model.gate.set()
    server = ClipServer(model, 1, answers)
    server.handle_frame(clip(1, 1))
    server.handle_frame(WorkerFrame(ClipFrameKind.CLIP, 2, b"\xff\xff"))
    server.handle_frame(clip(3, 5))
    frames = {frame.number: frame for frame in answers.wait(3)}
    assert (frames[1].kind, frames[1].payload) == (ClipFrameKind.FAILED, b"RuntimeError: out of memory")
    assert frames[2].kind == ClipFrameKind.FAILED
    assert read_transcript(frames[3].payload).text == "5"
    server.close()


def test_an_unexpected_kind_ends_the_process(model: GatedModel, answers: Any) -> None:
    with pytest.raises(ValueError, match="does not accept kind 4"):
        ClipServer(model, 1, answers).handle_frame(WorkerFrame(ClipFrameKind.TRANSCRIPT, 1))


def test_a_process_serves_until_its_input_ends(
    monkeypatch: pytest.MonkeyPatch, model: GatedModel, answers: Any
) -> None:
    monkeypatch.setitem(serving.MODELS, "gated", lambda _: model)
    model.gate.set()
    frames = io.BytesIO(clip(1, 10).encode() + clip(2, 20).encode()[:-1])
    serve_clips(WorkerSpec("gated", ""), frames, answers)
    ready, *rest = answers.wait(1)
    assert ready.kind == ClipFrameKind.READY
    assert read_description(ready.payload).languages == ("en",)
    assert all(frame.number == 1 for frame in rest)


@pytest.mark.parametrize("kind", ["whisper", "moonshine"])
def test_a_model_that_cannot_be_loaded_says_why(kind: str, tmp_path: Path, answers: Any) -> None:
    serve_clips(WorkerSpec(kind, str(tmp_path)), io.BytesIO(), answers)
    (frame,) = answers.wait(1)
    assert frame.kind == ClipFrameKind.FAILED
    assert b": " in frame.payload
