from __future__ import annotations

from collections.abc import AsyncGenerator

import numpy as np
import pytest
from tts_service.engine import Samples, Speech, Word
from tts_service.synthesis.speech_output import resample_speech


async def hum(rate_hz: int) -> AsyncGenerator[Speech]:
    """A second of 330 Hz in ten pieces, a word at its middle."""
    tone = np.sin(np.arange(rate_hz) * (2 * np.pi * 330 / rate_hz)).astype(np.float32)
    for number, piece in enumerate(np.array_split(tone, 10)):
        if number == 5:
            yield Word(4, 3, rate_hz // 2)
        yield Samples(piece)


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 24_000])
async def test_speech_keeps_its_length_pitch_and_places(rate_hz: int) -> None:
    pieces = [piece async for piece in resample_speech(hum(rate_hz), rate_hz, 24_000)]
    (word,) = [piece for piece in pieces if isinstance(piece, Word)]
    samples = np.concatenate([piece.samples for piece in pieces if isinstance(piece, Samples)])
    assert word == Word(4, 3, 12_000)
    assert samples.size == pytest.approx(24_000, abs=2)
    assert np.argmax(np.abs(np.fft.rfft(samples))) == pytest.approx(330, abs=1)
