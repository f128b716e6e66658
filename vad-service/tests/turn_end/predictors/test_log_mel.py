"""The log-mel spectrogram is the one the model was trained on."""

from __future__ import annotations

import numpy as np
import pytest
from vad_service.turn_end.predictors.log_mel import BANDS, HOP_SAMPLES, log_mel

RATE_HZ = 16_000


def chirp(seconds: float) -> np.ndarray:
    """A tone that rises from 100 Hz to 4 kHz and back, fading in."""
    times = np.arange(int(RATE_HZ * seconds)) / RATE_HZ
    hz = 2050 - 1950 * np.cos(2 * np.pi * times / seconds)
    return (0.3 * times / seconds * np.sin(2 * np.pi * np.cumsum(hz) / RATE_HZ)).astype(np.float32)


def reference_log_mel(audio: np.ndarray) -> np.ndarray:
    """The same by its definition: a Fourier sum for each bin, and each triangle by its corners."""
    normalised = (audio.astype(np.float64) - audio.mean()) / np.sqrt(audio.var() + 1e-7)
    padded = np.concatenate([normalised[200:0:-1], normalised, normalised[-2:-202:-1]])
    turns = np.exp(-2j * np.pi * np.outer(np.arange(201), np.arange(400)) / 400)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    count = len(audio) // HOP_SAMPLES
    power = np.stack([np.abs(turns @ (padded[at * 160 : at * 160 + 400] * window)) ** 2 for at in range(count)])

    def mel(hz: float) -> float:
        return hz * 3 / 200 if hz < 1000 else 15 + np.log(hz / 1000) / np.log(6.4) * 27

    def hz(mel: float) -> float:
        return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    corners = [hz(step * mel(8000) / (BANDS + 1)) for step in range(BANDS + 2)]
    filters = np.zeros((BANDS, 201))
    for band, (low, middle, high) in enumerate(zip(corners, corners[1:], corners[2:], strict=False)):
        for line in range(201):
            rise, fall = (line * 40 - low) / (middle - low), (high - line * 40) / (high - middle)
            filters[band, line] = max(0.0, min(rise, fall)) * 2 / (high - low)
    bands = np.log10(np.maximum(power @ filters.T, 1e-10)).T
    return (np.maximum(bands, bands.max() - 8) + 4) / 4


@pytest.mark.parametrize("offset", [0.0, 0.05], ids=["without an offset", "with an offset"])
def test_the_spectrogram_matches_its_definition(offset: float):
    audio = chirp(0.5) + np.float32(offset)
    assert np.allclose(log_mel(audio), reference_log_mel(audio), atol=1e-5)


def test_the_spectrogram_matches_the_training_feature_extractor():
    # Eight bands of five windows, computed by the feature extractor that the model was trained with.
    expected = np.array(
        [
            [-0.05588, -0.05736, -0.05722, -0.05685, -0.09554],
            [-0.21188, -0.22471, -0.22471, -0.22471, 0.21434],
            [0.51909, -0.22471, -0.22471, -0.22471, 0.93948],
            [-0.22471, -0.22471, -0.22471, -0.22471, -0.22039],
            [-0.22471, -0.22471, -0.22471, -0.22471, -0.22471],
            [-0.22471, -0.0928, -0.22471, 0.08433, -0.22471],
            [-0.22471, -0.22471, -0.22471, -0.22471, -0.22471],
            [-0.22471, -0.22471, -0.22471, -0.22471, -0.22471],
        ]
    )
    assert np.allclose(log_mel(chirp(8))[::10, 100::150], expected, atol=1e-5)


def test_the_level_of_the_audio_does_not_matter():
    assert np.allclose(log_mel(chirp(1)), log_mel(chirp(1) * np.float32(0.1)), atol=1e-2)


def test_silence_gives_finite_values():
    spectrogram = log_mel(np.zeros(RATE_HZ, np.float32))
    assert spectrogram.shape == (80, 100)
    assert np.isfinite(spectrogram).all()
