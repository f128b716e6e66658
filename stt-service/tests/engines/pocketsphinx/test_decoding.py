"""The decoder process' program, run here on pipes."""

from __future__ import annotations

import io
import os

import pytest
from service_kit.engines.worker_frames import WorkerFrame
from service_kit.errors import EngineFailed
from stt_service.engines.pocketsphinx.decoding import DecoderSpec, read_frames, serve_frames
from stt_service.engines.pocketsphinx.frames import SCORE, Frame, Kind
from stt_service.engines.pocketsphinx.models import build_models
from stt_service.engines.pocketsphinx.process import DecoderProcess
from stt_service.settings import SttSettings


@pytest.fixture
def spec(settings: SttSettings) -> DecoderSpec:
    model = build_models(settings.knowledge_dir, settings.models_dir / "pocketsphinx").topical
    options = {"fwdflat": False, "bestpath": False}
    return DecoderSpec(str(model.dictionary), str(model.language_model), 200, 2, options)


def answers(spec: DecoderSpec, *frames: Frame) -> list[Frame]:
    """What the program answers to `frames`, which must fit into a pipe."""
    source, writer = os.pipe()
    os.write(writer, b"".join(frame.packed() for frame in frames))
    os.close(writer)
    sink = io.BytesIO()
    with io.FileIO(source) as raw:
        serve_frames(spec, raw, sink)  # type: ignore[arg-type]
    return list(read_frames(io.BytesIO(sink.getvalue())))


def test_two_streams_are_decoded_side_by_side(spec: DecoderSpec, ferry: bytes) -> None:
    frames = [Frame(Kind.OPEN, 1, b"\1"), Frame(Kind.OPEN, 2, b"\0")]
    for start in range(0, 25_600, 6400):
        frames += [Frame(Kind.AUDIO, stream, ferry[start : start + 6400]) for stream in (1, 2)]
    frames += [Frame(Kind.END, 1), Frame(Kind.END, 2), Frame(Kind.CLOSE, 1), Frame(Kind.CLOSE, 2)]
    frames += [Frame(Kind.OPEN, 3), Frame(Kind.END, 3)]
    said = answers(spec, *frames)
    assert said[0] == Frame(Kind.READY)
    heard = {
        stream: [frame.payload for frame in said if frame.kind is Kind.DECODED and frame.stream == stream]
        for stream in (1, 2)
    }
    assert len(heard[1]) == len(heard[2]) == 4
    assert any(heard[1])
    assert not any(heard[2])
    whole = {frame.stream: frame.payload for frame in said if frame.kind is Kind.UTTERANCE}
    # The second decoder shares the first one's language model, and hears the same.
    assert whole[1] == whole[2]
    assert whole[1][SCORE.size :].decode().startswith("what is")
    assert whole[3] == SCORE.pack(0.0)


def test_a_frame_that_is_cut_off_ends_the_reading() -> None:
    cut = Frame(Kind.END, 1).packed() + Frame(Kind.AUDIO, 1, b"abcd").packed()[:5]
    assert list(read_frames(io.BytesIO(cut))) == [Frame(Kind.END, 1)]


def test_both_sides_agree_on_the_frames() -> None:
    assert Frame(Kind.AUDIO, 7, b"abc").packed() == WorkerFrame(Kind.AUDIO, 7, b"abc").encode()


async def test_a_process_that_never_becomes_ready_fails_the_engine() -> None:
    nowhere = DecoderSpec("/nowhere.dict", "/nowhere.lm", 200, 1)
    with pytest.raises(EngineFailed, match="topical decoder process exited before its handshake"):
        await DecoderProcess("topical", nowhere).supervise()
