"""Speech-like sound: noise in bands whose levels vary a few times a second, as syllables do."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import soxr
from numpy.typing import NDArray

_BANDS_HZ = (200, 500, 1_000, 1_800, 3_000, 5_000)


def speech_like(seed: int, seconds: float, rate_hz: int = 24_000) -> NDArray[np.int16]:
    """The sound of one speaker, a different one for each seed."""
    draw = np.random.default_rng(seed)
    count = round(seconds * 24_000)
    frequencies = np.fft.rfftfreq(count, 1 / 24_000)
    sound = np.zeros(count)
    for low_hz, high_hz in pairwise(_BANDS_HZ):
        spectrum = np.fft.rfft(draw.standard_normal(count))
        spectrum[(frequencies < low_hz) | (frequencies >= high_hz)] = 0
        syllables = draw.gamma(0.6, size=round(seconds * 8) + 2)
        loudness = np.interp(np.arange(count) / 24_000 * 8, np.arange(len(syllables)), syllables)
        sound += np.fft.irfft(spectrum, count) * loudness
    sound *= 4_000 / np.sqrt(np.mean(np.square(sound)))
    resampled = sound if rate_hz == 24_000 else soxr.resample(sound, 24_000, rate_hz)
    return np.clip(np.rint(resampled), -32768, 32767).astype(np.int16)


def delayed(sound: NDArray[np.int16], by_ms: int, gain_db: float = 0.0) -> NDArray[np.float64]:
    """16 kHz sound, delayed and amplified; of the same length."""
    moved = np.roll(sound.astype(np.float64), by_ms * 16)
    if by_ms > 0:
        moved[: by_ms * 16] = 0
    return moved * 10 ** (gain_db / 20)


def with_room_noise(sound: NDArray[np.float64], seed: int = 7) -> NDArray[np.int16]:
    """Add the noise of a quiet room."""
    hiss = np.random.default_rng(seed).standard_normal(len(sound)) * 3
    return np.clip(np.rint(sound + hiss), -32768, 32767).astype(np.int16)
