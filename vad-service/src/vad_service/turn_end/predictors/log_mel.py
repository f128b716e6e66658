"""The log-mel spectrogram that Whisper, and therefore Smart Turn, was trained on.

All constants are those of `WhisperFeatureExtractor` in Hugging Face's Transformers (windows of 400 samples every 160,
80 bands, a floor of 1e-10, a range of eight decades, scaled by `(x + 4) / 4`), with its `do_normalize` for Smart Turn.
The bands are Slaney's (Auditory Toolbox, 1998): linear up to 1 kHz, where 200/3 Hz make a mel, then 27 mels for a
factor of 6.4; each triangle is scaled to the same area. Double precision, as in that library.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from service_kit.audio import MICROPHONE

Samples = NDArray[np.float32]
_Doubles = NDArray[np.float64]

WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
BANDS = 80

# Prevents division by zero on silence.
_MIN_VARIANCE = np.float32(1e-7)
_MIN_POWER = 1e-10
_DECADES = 8.0

_LINEAR_UP_TO_HZ = 1000.0
_HZ_PER_MEL = 200 / 3
_LINEAR_UP_TO_MEL = _LINEAR_UP_TO_HZ / _HZ_PER_MEL
_NEPERS_PER_MEL = np.log(6.4) / 27


def log_mel(audio: Samples) -> Samples:
    """Return the log-mel spectrogram of `audio` [n] at 16 kHz, float32 [BANDS, n // HOP_SAMPLES].

    The audio is normalised to zero mean and unit variance first.
    """
    normalised = (audio - audio.mean()) / np.sqrt(audio.var() + _MIN_VARIANCE)
    half = WINDOW_SAMPLES // 2
    padded = np.pad(normalised.astype(np.float64), half, mode="reflect")
    windows = sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES][: len(audio) // HOP_SAMPLES]
    spectrum = np.fft.rfft(windows * _HANN)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    bands = np.log10(np.maximum(_FILTERS @ power.T, _MIN_POWER))
    return ((np.maximum(bands, bands.max() - _DECADES) + 4) / 4).astype(np.float32)


def _to_hz(mel: _Doubles) -> _Doubles:
    above = _LINEAR_UP_TO_HZ * np.exp(_NEPERS_PER_MEL * (mel - _LINEAR_UP_TO_MEL))
    return np.where(mel < _LINEAR_UP_TO_MEL, mel * _HZ_PER_MEL, above)


def _filters() -> _Doubles:
    """Return the triangular mel filters over the spectrum's bins, float64 [BANDS, WINDOW_SAMPLES // 2 + 1]."""
    top_hz = MICROPHONE.rate_hz / 2
    top_mel = _LINEAR_UP_TO_MEL + np.log(top_hz / _LINEAR_UP_TO_HZ) / _NEPERS_PER_MEL
    corners_hz = _to_hz(np.linspace(0, top_mel, BANDS + 2))
    bins_hz = np.linspace(0, top_hz, WINDOW_SAMPLES // 2 + 1)
    low, middle, high = corners_hz[:-2, None], corners_hz[1:-1, None], corners_hz[2:, None]
    triangles = np.minimum((bins_hz - low) / (middle - low), (high - bins_hz) / (high - middle))
    return np.maximum(triangles, 0) * (2 / (high - low))


# A periodic Hann window: the sample after the last equals the first.
_HANN: _Doubles = np.hanning(WINDOW_SAMPLES + 1)[:-1]
_FILTERS = _filters()
