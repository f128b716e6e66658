"""Chunks of any size become frames with a position on the audio clock."""

from __future__ import annotations

import numpy as np
import pytest
from service_kit.audio import AudioChunk, to_float
from service_kit.errors import InvalidRequest
from service_kit.testing.plugin import split_pcm
from vad_service.speech.frames import Framer

PCM = (np.arange(16_000) % 3001 - 1500).astype("<i2").tobytes()


def push(framer: Framer, *chunks_at: tuple[int, bytes]):
    return [frame for start_ms, pcm in chunks_at for frame in framer.push_audio(AudioChunk(start_ms, pcm))]


@pytest.mark.parametrize("samples", [1, 7, 160, 320, 512, 513, 4000, 16_000])
def test_any_chunk_size_gives_the_same_frames(samples: int):
    framer, position = Framer(), 0
    frames = []
    for pcm in split_pcm(PCM, samples * 2):
        frames += push(framer, (round(position / 16), pcm))
        position += len(pcm) // 2
    frames += framer.flush()
    assert [frame.end_ms for frame in frames] == [*range(32, 1000, 32), 1000]
    assert np.array_equal(np.concatenate([frame.samples for frame in frames])[:16_000], to_float(PCM))
    assert not any(frame.after_gap for frame in frames)


def test_audio_may_begin_at_any_position():
    frame = push(Framer(), (5000, PCM[:1024]))[0]
    assert (frame.start_ms, frame.end_ms, frame.after_gap) == (5000, 5032, False)


def test_a_small_gap_is_filled_with_silence():
    frames = push(Framer(), (0, PCM[:1024]), (48, PCM[:1024]))
    assert [frame.start_ms for frame in frames] == [0, 32]
    assert not frames[1].samples[:256].any()
    assert np.array_equal(frames[1].samples[256:], to_float(PCM[:512]))


def test_after_a_large_gap_frames_begin_where_audio_continues():
    frames = push(Framer(), (0, PCM[:1200]), (60_000, PCM[:1024]))
    assert [(frame.start_ms, frame.end_ms, frame.after_gap) for frame in frames] == [
        (0, 32, False),
        (32, 37, False),
        (60_000, 60_032, True),
    ]
    assert not frames[1].samples[88:].any()


@pytest.mark.parametrize("start_ms", [0, 500, 997])
def test_audio_that_overlaps_earlier_audio_is_refused(start_ms: int):
    framer = Framer()
    push(framer, (0, PCM))
    with pytest.raises(InvalidRequest) as refused:
        push(framer, (start_ms, PCM))
    assert refused.value.code == "vad.audio_overlaps"


def test_half_a_sample_is_refused():
    with pytest.raises(InvalidRequest) as refused:
        push(Framer(), (0, PCM[:1023]))
    assert refused.value.code == "vad.odd_audio"


def test_audio_beyond_the_clocks_range_is_refused():
    with pytest.raises(InvalidRequest) as refused:
        push(Framer(), (2**32 - 1, PCM))
    assert refused.value.code == "vad.clock_overflow"


def test_an_empty_chunk_adds_no_audio():
    framer = Framer()
    assert push(framer, (0, b""), (0, PCM[:1024]), (32, b"")) != []
    assert list(framer.flush()) == []


def test_flush_without_audio_yields_nothing():
    assert list(Framer().flush()) == []
