"""Noises of several kinds, and speech mixed with them at a given ratio. Samples are float64, full scale 1."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from service_kit.audio import MICROPHONE

Samples = NDArray[np.float64]

_FULL_SCALE = 32768.0
# The pink spectrum is flat below this frequency, where 1/f would grow without bound.
_PINK_FROM_HZ = 40.0


def read_wav(path: Path) -> Samples:
    """The samples of a WAV file of 16 kHz mono PCM16."""
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / _FULL_SCALE


def pcm16(samples: Samples) -> bytes:
    """Samples as PCM16, clipped at full scale."""
    return np.clip(np.rint(samples * _FULL_SCALE), -32768, 32767).astype("<i2").tobytes()


def level_dbfs(samples: Samples) -> float:
    """The level of samples: their mean square, in dB of full scale."""
    return float(10 * np.log10(np.mean(samples**2) + 1e-12))


def set_level(samples: Samples, dbfs: float) -> Samples:
    """The same samples at a level of `dbfs`."""
    return samples * 10 ** ((dbfs - level_dbfs(samples)) / 20)


def white_noise(length: int, seed: int) -> Samples:
    """White noise: equal power in every hertz."""
    return np.random.default_rng(seed).normal(0, 0.1, length)


def pink_noise(length: int, seed: int) -> Samples:
    """Pink noise: equal power in every octave, as of fans and traffic."""
    spectrum = np.fft.rfft(white_noise(length, seed))
    hertz = np.fft.rfftfreq(length, 1 / MICROPHONE.rate_hz)
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(hertz, _PINK_FROM_HZ)), length)


def babble_noise(voices: Sequence[Samples], length: int) -> Samples:
    """Several voices at once, at equal levels."""
    return np.sum([loop(set_level(voice, -26), length, begin=7919 * n) for n, voice in enumerate(voices)], axis=0)


def loop(samples: Samples, length: int, begin: int = 0) -> Samples:
    """`length` samples of an endlessly repeated recording."""
    return np.take(samples, np.arange(begin, begin + length), mode="wrap")


def mix(speech: Samples, spans: Sequence[tuple[int, int]], noise: Samples, snr_db: float) -> Samples:
    """Speech in noise. `spans`, in ms, hold the speech: the ratio counts there, not in the pauses."""
    return speech + set_level(noise[: len(speech)], speech_dbfs(speech, spans) - snr_db)


def speech_dbfs(speech: Samples, spans: Sequence[tuple[int, int]]) -> float:
    """The level of speech, without the pauses."""
    per_ms = MICROPHONE.rate_hz // 1000
    return level_dbfs(np.concatenate([speech[start * per_ms : stop * per_ms] for start, stop in spans]))
