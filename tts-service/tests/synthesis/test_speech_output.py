from __future__ import annotations

from collections.abc import AsyncGenerator

import numpy as np
import pytest
from service_kit.audio import to_float
from tts_service.engine import Samples, Speech, Word
from tts_service.synthesis.speech_output import SpeechOutput, resample_speech


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 24_000])
def test_chunks_are_contiguous_and_keep_duration_and_pitch(rate_hz: int) -> None:
    output = SpeechOutput(rate_hz)
    chunks = []
    for _ in range(2):
        wave = (0.5 * np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz)).astype(np.float32)
        for start in range(0, wave.size, 1323):
            chunks += output.add_samples(wave[start : start + 1323])
        chunks += output.finish_phrase()
    place_ms = 0
    for chunk in chunks:
        assert chunk.offset_ms == place_ms
        assert 0 < len(chunk.pcm) <= 240 * 48
        place_ms += len(chunk.pcm) // 48
    assert output.sent_ms == place_ms == pytest.approx(2000, abs=2)
    assert len(chunks[0].pcm) == 40 * 48
    speech = to_float(b"".join(chunk.pcm for chunk in chunks))
    crossings = np.count_nonzero(np.diff(np.signbit(speech[:24_000])))
    assert crossings == pytest.approx(880, abs=4)
    # Phrases join in silence: no step is steeper than those of the tone.
    assert np.abs(np.diff(speech)).max() < 0.07
    assert abs(speech[0]) < 0.001
    assert abs(speech[-1]) < 0.01


def test_first_chunk_is_ready_at_forty_milliseconds() -> None:
    output = SpeechOutput(24_000)
    assert output.add_samples(np.full(24 * 44, 0.1, np.float32)) == []
    assert [chunk.offset_ms for chunk in output.add_samples(np.full(24, 0.1, np.float32))] == [0]


def test_chunks_are_long_while_the_client_has_audio_left() -> None:
    output = SpeechOutput(24_000)
    output.add_samples(np.full(24 * 45, 0.1, np.float32))
    speech = np.full(24 * 480, 0.1, np.float32)
    lengths = [[len(chunk.pcm) // 48 for chunk in output.add_samples(speech, ahead_ms)] for ahead_ms in (499, 500)]
    assert lengths == [[80] * 6, [240] * 2]


def test_phrase_without_samples_has_no_chunk() -> None:
    output = SpeechOutput(22_050)
    assert output.add_samples(np.zeros(0, np.float32)) == []
    assert output.finish_phrase() == []


async def tone(rate_hz: int) -> AsyncGenerator[Speech]:
    """A second of 330 Hz in ten pieces, a word in the middle."""
    tone = np.sin(np.arange(rate_hz) * (2 * np.pi * 330 / rate_hz)).astype(np.float32)
    for number, piece in enumerate(np.array_split(tone, 10)):
        if number == 5:
            yield Word(4, 3, rate_hz // 2)
        yield Samples(piece)


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 24_000])
async def test_resampling_keeps_duration_pitch_and_word_times(rate_hz: int) -> None:
    pieces = [piece async for piece in resample_speech(tone(rate_hz), rate_hz, 24_000)]
    (word,) = [piece for piece in pieces if isinstance(piece, Word)]
    samples = np.concatenate([piece.samples for piece in pieces if isinstance(piece, Samples)])
    assert word == Word(4, 3, 12_000)
    assert samples.size == pytest.approx(24_000, abs=2)
    assert np.argmax(np.abs(np.fft.rfft(samples))) == pytest.approx(330, abs=1)
