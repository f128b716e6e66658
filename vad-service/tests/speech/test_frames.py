"""Chunks of any size become frames with a place."""

from __future__ import annotations

import numpy as np
import pytest
from service_kit.audio import AudioChunk, to_float
from service_kit.errors import InvalidRequest
from service_kit.testing.plugin import split_pcm
from vad_service.speech.frames import Framing

PCM = (np.arange(16_000) % 3001 - 1500).astype("<i2").tobytes()


def heard(framing: Framing, *placed: tuple[int, bytes]):
    return [frame for start_ms, pcm in placed for frame in framing.frames(AudioChunk(start_ms, pcm))]


@pytest.mark.parametrize("samples", [1, 7, 160, 320, 512, 513, 4000, 16_000])
def test_any_chunk_size_gives_the_same_frames(samples: int):
    framing, place = Framing(), 0
    frames = []
    for pcm in split_pcm(PCM, samples * 2):
        frames += heard(framing, (round(place / 16), pcm))
        place += len(pcm) // 2
    frames += framing.finish()
    assert [frame.end_ms for frame in frames] == [*range(32, 1000, 32), 1000]
    assert np.array_equal(np.concatenate([frame.samples for frame in frames])[:16_000], to_float(PCM))
    assert not any(frame.after_gap for frame in frames)


def test_audio_may_begin_anywhere():
    frame = heard(Framing(), (5000, PCM[:1024]))[0]
    assert (frame.start_ms, frame.end_ms, frame.after_gap) == (5000, 5032, False)


def test_a_small_gap_is_filled_with_silence():
    frames = heard(Framing(), (0, PCM[:1024]), (48, PCM[:1024]))
    assert [frame.start_ms for frame in frames] == [0, 32]
    assert not frames[1].samples[:256].any()
    assert np.array_equal(frames[1].samples[256:], to_float(PCM[:512]))


def test_after_a_large_gap_frames_begin_where_audio_goes_on():
    frames = heard(Framing(), (0, PCM[:1200]), (60_000, PCM[:1024]))
    assert [(frame.start_ms, frame.end_ms, frame.after_gap) for frame in frames] == [
        (0, 32, False),
        (32, 37, False),
        (60_000, 60_032, True),
    ]
    assert not frames[1].samples[88:].any()


@pytest.mark.parametrize("start_ms", [0, 500, 997])
def test_audio_that_was_heard_already_is_refused(start_ms: int):
    framing = Framing()
    heard(framing, (0, PCM))
    with pytest.raises(InvalidRequest) as refused:
        heard(framing, (start_ms, PCM))
    assert refused.value.code == "vad.audio_overlaps"


def test_half_a_sample_is_refused():
    with pytest.raises(InvalidRequest) as refused:
        heard(Framing(), (0, PCM[:1023]))
    assert refused.value.code == "vad.odd_audio"


def test_audio_beyond_the_clock_is_refused():
    with pytest.raises(InvalidRequest) as refused:
        heard(Framing(), (2**32 - 1, PCM))
    assert refused.value.code == "vad.clock_overflow"


def test_an_empty_chunk_is_no_audio():
    framing = Framing()
    assert heard(framing, (0, b""), (0, PCM[:1024]), (32, b"")) != []
    assert list(framing.finish()) == []


def test_nothing_heard_leaves_nothing_to_finish():
    assert list(Framing().finish()) == []
