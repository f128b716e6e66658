"""Log-mel features of Whisper (numpy): the formula of `whisper/audio.py` and its mel filters, both by OpenAI, MIT.

log10 of the mel power spectrum, at most 8 (80 dB) below the clip's maximum, then `(x + 4) / 4`. The filters are
librosa's: Slaney's mel scale, each triangle with the area 1.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from service_kit.audio import MICROPHONE

Floats = NDArray[np.float32]

# A window of 25 ms every 10 ms.
WINDOW = 400
HOP = 160
# Power below this counts as this, and so does digital silence.
_FLOOR = 1e-10
_RANGE = 8.0
# Slaney's scale: linear up to 1 kHz, 15 mels there, then 27 mels for each factor of 6.4.
_LINEAR_HZ_PER_MEL = 200 / 3
_LOG_FROM_HZ = 1000.0
_LOG_FROM_MEL = _LOG_FROM_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


def log_mel(samples: Floats, mels: int, padded: int) -> Floats:
    """Return the features of `samples`, 16 kHz, followed by zeros up to `padded` samples; shape [mels, padded / 160].

    `padded` is a multiple of 160. Frames of nothing but padding are not computed.
    """
    # Whisper centres the windows: half a window before the clip, reflected, and as much behind it, here the padding.
    half = WINDOW // 2
    samples = np.pad(samples, (0, max(half + 1 - len(samples), 0)))
    behind = np.zeros(half, np.float32) if padded > len(samples) else _reflected_end(samples, half)
    spoken = min(-(-(len(samples) + half) // HOP), padded // HOP)
    centred = np.concatenate([samples[half:0:-1], samples, behind, np.zeros(WINDOW, np.float32)])
    windows = np.lib.stride_tricks.sliding_window_view(centred, WINDOW)[: spoken * HOP : HOP]
    spectrum = np.fft.rfft(windows * _hann(), axis=1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    logs = np.full((mels, padded // HOP), np.log10(_FLOOR), np.float32)
    logs[:, :spoken] = np.log10(np.maximum(mel_filters(mels) @ power.T, _FLOOR))
    return (np.maximum(logs, logs.max() - np.float32(_RANGE)) + np.float32(4)) / np.float32(4)


@cache
def mel_filters(mels: int) -> Floats:
    """Return the filter bank, shape [mels, 201]: triangles from 0 to 8 kHz, evenly spaced in mels."""
    bins_hz = np.linspace(0, MICROPHONE.rate_hz / 2, WINDOW // 2 + 1)
    edges_hz = _to_hz(np.linspace(0, _to_mel(MICROPHONE.rate_hz / 2), mels + 2))
    below, centre, above = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising, falling = (bins_hz - below) / (centre - below), (above - bins_hz) / (above - centre)
    triangles = np.maximum(0, np.minimum(rising, falling)) * 2 / (above - below)
    return triangles.astype(np.float32)


@cache
def _hann() -> Floats:
    """The periodic Hann window."""
    return np.hanning(WINDOW + 1)[:-1].astype(np.float32)


def _reflected_end(samples: Floats, length: int) -> Floats:
    return samples[-2 : -length - 2 : -1]


def _to_mel(hz: float) -> float:
    return _LOG_FROM_MEL + float(np.log(hz / _LOG_FROM_HZ)) / float(_LOG_STEP)


def _to_hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mels * _LINEAR_HZ_PER_MEL
    return np.where(mels < _LOG_FROM_MEL, linear, _LOG_FROM_HZ * np.exp(_LOG_STEP * (mels - _LOG_FROM_MEL)))
