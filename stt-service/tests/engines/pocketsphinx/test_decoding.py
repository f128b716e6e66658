"""The decoder process' program, run here on pipes."""

from __future__ import annotations

import io
import os

import pytest
from service_kit.engines.worker_frames import WorkerFrame
from service_kit.errors import EngineFailed
from stt_service.engines.pocketsphinx.decoding import DecoderSpec, read_frames, serve_frames
from stt_service.engines.pocketsphinx.frames import SCORE, Kind
from stt_service.engines.pocketsphinx.models import build_models
from stt_service.engines.pocketsphinx.process import DecoderProcess
from stt_service.settings import SttSettings


@pytest.fixture
def spec(settings: SttSettings) -> DecoderSpec:
    model = build_models(settings.knowledge_dir, settings.models_dir / "pocketsphinx").topical
    options = {"fwdflat": False, "bestpath": False}
    return DecoderSpec(str(model.dictionary), str(model.language_model), 200, 2, options)


def answers(spec: DecoderSpec, *frames: WorkerFrame) -> list[WorkerFrame]:
    """What the program answers to `frames`, which must fit into a pipe."""
    source, writer = os.pipe()
    os.write(writer, b"".join(frame.encode() for frame in frames))
    os.close(writer)
    sink = io.BytesIO()
    with io.FileIO(source) as raw:
        serve_frames(spec, raw, sink)  # type: ignore[arg-type]
    return list(read_frames(io.BytesIO(sink.getvalue())))


def test_two_streams_are_decoded_side_by_side(spec: DecoderSpec, ferry: bytes) -> None:
    frames = [WorkerFrame(Kind.OPEN, 1, b"\1"), WorkerFrame(Kind.OPEN, 2, b"\0")]
    for start in range(0, 25_600, 6400):
        frames += [WorkerFrame(Kind.AUDIO, stream, ferry[start : start + 6400]) for stream in (1, 2)]
    frames += [
        WorkerFrame(Kind.END, 1),
        WorkerFrame(Kind.END, 2),
        WorkerFrame(Kind.CLOSE, 1),
        WorkerFrame(Kind.CLOSE, 2),
    ]
    frames += [WorkerFrame(Kind.OPEN, 3), WorkerFrame(Kind.END, 3)]
    said = answers(spec, *frames)
    assert said[0] == WorkerFrame(Kind.READY)
    heard = {
        stream: [frame.payload for frame in said if frame.kind == Kind.DECODED and frame.number == stream]
        for stream in (1, 2)
    }
    assert len(heard[1]) == len(heard[2]) == 4
    assert any(heard[1])
    assert not any(heard[2])
    whole = {frame.number: frame.payload for frame in said if frame.kind == Kind.UTTERANCE}
    # The second decoder shares the first one's language model, and hears the same.
    assert whole[1] == whole[2]
    assert whole[1][SCORE.size :].decode().startswith("what is")
    assert whole[3] == SCORE.pack(0.0)


def test_a_frame_that_is_cut_off_ends_the_reading() -> None:
    cut = WorkerFrame(Kind.END, 1).encode() + WorkerFrame(Kind.AUDIO, 1, b"abcd").encode()[:5]
    assert list(read_frames(io.BytesIO(cut))) == [WorkerFrame(Kind.END, 1)]


async def test_a_process_that_never_becomes_ready_fails_the_engine() -> None:
    nowhere = DecoderSpec("/nowhere.dict", "/nowhere.lm", 200, 1)
    with pytest.raises(EngineFailed, match="topical decoder process exited before its handshake"):
        await DecoderProcess("topical", nowhere).supervise()
