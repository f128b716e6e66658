"""Rooms to hear people in: noises of several kinds, mixed in at a given ratio. Samples are float64, full scale 1."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from service_kit.audio import MICROPHONE

Samples = NDArray[np.float64]

_FULL_SCALE = 32768.0
# Below this there is no telling what the quietest part of a pink spectrum would be.
_PINK_FROM_HZ = 40.0


def read(path: Path) -> Samples:
    """A recording, 16 kHz mono PCM16."""
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / _FULL_SCALE


def pcm16(samples: Samples) -> bytes:
    """PCM16 of samples; what exceeds full scale is clipped, as by a microphone."""
    return np.clip(np.rint(samples * _FULL_SCALE), -32768, 32767).astype("<i2").tobytes()


def level_dbfs(samples: Samples) -> float:
    """How loud samples are: the mean of their squares."""
    return float(10 * np.log10(np.mean(samples**2) + 1e-12))


def at_level(samples: Samples, dbfs: float) -> Samples:
    """The same sound, this loud."""
    return samples * 10 ** ((dbfs - level_dbfs(samples)) / 20)


def white(length: int, seed: int) -> Samples:
    """A hiss: as much in every hertz."""
    return np.random.default_rng(seed).normal(0, 0.1, length)


def pink(length: int, seed: int) -> Samples:
    """A rumble: as much in every octave, as fans and traffic have it."""
    spectrum = np.fft.rfft(white(length, seed))
    hertz = np.fft.rfftfreq(length, 1 / MICROPHONE.rate_hz)
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(hertz, _PINK_FROM_HZ)), length)


def babble(voices: Sequence[Samples], length: int) -> Samples:
    """People talking at once, all as loud as each other."""
    return np.sum([looped(at_level(voice, -26), length, begin=7919 * n) for n, voice in enumerate(voices)], axis=0)


def looped(samples: Samples, length: int, begin: int = 0) -> Samples:
    """As much as is wanted of a recording that goes round and round."""
    return np.take(samples, np.arange(begin, begin + length), mode="wrap")


def mixed(speech: Samples, spans: Sequence[tuple[int, int]], noise: Samples, snr_db: float) -> Samples:
    """Speech in noise. `spans`, in ms, are where somebody speaks: the ratio counts there, not in the pauses."""
    return speech + at_level(noise[: len(speech)], speech_dbfs(speech, spans) - snr_db)


def speech_dbfs(speech: Samples, spans: Sequence[tuple[int, int]]) -> float:
    """How loud somebody speaks, without the pauses."""
    per_ms = MICROPHONE.rate_hz // 1000
    return level_dbfs(np.concatenate([speech[start * per_ms : stop * per_ms] for start, stop in spans]))
