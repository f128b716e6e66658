"""Acoustic echo detection: finds the anchor's own speech in the microphone by its sound, without a transcript.

The playback (far end) and the microphone (near end) are compared as energies in a few frequency bands, one frame every
20 ms: an echo rises and falls with the speech it stems from, later and quieter. Sound that is louder than the echo can
be is near-end speech: another speaker.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from service_kit.audio import MICROPHONE, SPEECH

Samples = NDArray[np.int16]
# A row per frame of 20 ms, a column per band.
Bands = NDArray[np.float32]

FRAME_MS = 20
_WINDOW_MS = 32
# The range of speech that small loudspeakers reproduce.
_EDGES_HZ = np.geomspace(200, 5_000, 15)
_BIN_HZ = 1_000 / _WINDOW_MS

# Echo delays that are searched, relative to the estimated playback position: from early (a client's reports come late)
# to late.
EARLIEST_MS = -100
LATEST_MS = 600
_DELAYS = (LATEST_MS - EARLIEST_MS) // FRAME_MS + 1
# Length of the compared audio, and the minimum of far-end speech in it.
COMPARED_MS = 1_200
_COMPARED_FRAMES = COMPARED_MS // FRAME_MS
_MIN_FAR_END_FRAMES = 10
# Share of a frame's energy that a room keeps until the next frame: 60 dB of decay in 0.3 s.
_DECAY = 0.4
# A band is silent below this share of the loudest.
_SILENCE_RATIO = 1e-3
# Energy of a band, in squared 16-bit steps, below which nothing plays.
_MIN_AUDIBLE_ENERGY = 1.0

# Minimum correlation that chance does not reach: lower, the more frames were compared.
_MIN_CORRELATION = 0.46
_CORRELATION_FRAMES = 4.0
_MIN_SPREAD = 0.1

# A frame is near-end speech where it is this much louder than the echo and than the noise floor (the quietest of the
# last seconds), in this share of the bands.
_ABOVE_ECHO = 6.0
_ABOVE_FLOOR = 60.0
_MIN_BAND_SHARE = 0.3
# Frames by which an echo may be early or late.
_JITTER_FRAMES = 2
# An echo path has vanished when this share of the places where its echo would stand out is this much quieter.
_VANISHED_SHARE = 0.5
_VANISHED_RATIO = 6.0


@dataclass(frozen=True, slots=True)
class EchoEstimate:
    """Sound in which an echo was found: how much of it the far end explains, and how much is near-end speech."""

    far_end_ms: int
    near_end_ms: int


@dataclass(frozen=True, slots=True)
class _EchoPath:
    """The path from the loudspeaker to the microphone: delay in frames after the earliest, and energy gain per band."""

    delay: int
    gains: Bands


class AcousticEcho:
    """Compares one session's microphone with its playback, and learns the echo path between them."""

    def __init__(self) -> None:
        self._path: _EchoPath | None = None

    def estimate(self, microphone: Samples, far_end: Samples, asked_ms: int) -> EchoEstimate | None:
        """Estimate the last `asked_ms` of the microphone, `COMPARED_MS` at most; None without an echo path.

        `microphone` is 16 kHz; `far_end` is 24 kHz, and lasts from `LATEST_MS` before it to `-EARLIEST_MS` after.
        """
        near_end = bands_of(microphone, MICROPHONE.rate_hz)
        count = min(_COMPARED_FRAMES, len(near_end))
        before = (len(near_end) - count) * FRAME_MS * SPEECH.rate_hz // 1_000
        played = _reverberate(bands_of(far_end[before:], SPEECH.rate_hz))[: count + _DELAYS - 1]
        if len(played) < count + _DELAYS - 1 or count < _MIN_FAR_END_FRAMES:
            return None
        floor = np.quantile(near_end, 0.1, axis=0).astype(np.float32)
        near_end = near_end[-count:]
        self._learn_path(near_end, played, floor)
        if self._path is None:
            return None
        asked = min(count, max(1, asked_ms // FRAME_MS))
        sound = near_end[-asked:]
        echo = self._path.gains * _delayed(_widened(played), self._path.delay, count)[-asked:]
        audible = _in_enough_bands(sound > _ABOVE_FLOOR * floor)
        above_echo = _in_enough_bands(sound > _ABOVE_ECHO * echo + _ABOVE_FLOOR * floor)
        return EchoEstimate(int(np.sum(audible & ~above_echo)) * FRAME_MS, int(np.sum(above_echo)) * FRAME_MS)

    def _learn_path(self, near_end: Bands, far_end: Bands, floor: Bands) -> None:
        if self._path is not None and _has_vanished(self._path, near_end, far_end, floor):
            self._path = None
        delay = _best_delay(near_end, far_end, floor)
        if delay is None:
            return
        gains = _gains(near_end, _delayed(far_end, delay, len(near_end)), floor)
        if self._path is not None and abs(delay - self._path.delay) <= 1:
            # Smoothing: neither a short silence nor a speaker over the echo changes the path at once.
            gains = np.sqrt(gains * self._path.gains)
        self._path = _EchoPath(delay, gains)


def bands_of(samples: Samples, rate_hz: int) -> Bands:
    """Energy in each band, every 20 ms; empty for samples shorter than one window."""
    window, edges = _analysis_of(rate_hz)
    width = len(window)
    if len(samples) < width:
        return np.empty((0, len(edges) - 1), np.float32)
    windows = sliding_window_view(samples, width)[:: rate_hz * FRAME_MS // 1_000]
    spectra = np.fft.rfft(windows * window, axis=1)[:, : edges[-1]]
    power = np.square(spectra.real) + np.square(spectra.imag)
    energies = np.add.reduceat(power, edges[:-1], axis=1) / width**2
    # The resolution of 16 bits.
    return np.maximum(energies, 1e-3).astype(np.float32)


@cache
def _analysis_of(rate_hz: int) -> tuple[Bands, NDArray[np.intp]]:
    """The window of one frame, and the first bin of each band, with the end of the last."""
    width = rate_hz * _WINDOW_MS // 1_000
    return np.hanning(width).astype(np.float32), np.searchsorted(np.arange(width // 2 + 1) * _BIN_HZ, _EDGES_HZ)


def _reverberate(far_end: Bands) -> Bands:
    """The far end with the reverberation of a room: each frame also has what is left of those before it."""
    reverberated = far_end.copy()
    # Each step doubles the frames that count; after four, less than a millionth is left of those that do not.
    for shift in (1, 2, 4, 8):
        reverberated[shift:] += _DECAY**shift * reverberated[:-shift]
    return reverberated


def _widened(far_end: Bands) -> Bands:
    """The maximum within `_JITTER_FRAMES` of each frame: the playback time is uncertain, most of all after a pause."""
    padded = np.pad(far_end, ((_JITTER_FRAMES, _JITTER_FRAMES), (0, 0)), mode="edge")
    return np.max(sliding_window_view(padded, 2 * _JITTER_FRAMES + 1, axis=0), axis=2)


def _delayed(far_end: Bands, delay: int, count: int) -> Bands:
    return far_end[_DELAYS - 1 - delay : _DELAYS - 1 - delay + count]


def _best_delay(near_end: Bands, far_end: Bands, floor: Bands) -> int | None:
    """The delay with the highest correlation, in frames after the earliest; None when none is high enough."""
    loudness = np.max(far_end, axis=1)
    if np.max(loudness) <= _MIN_AUDIBLE_ENERGY:
        return None
    near_end_db = np.log(near_end + floor)
    far_end_db = np.log(far_end + _SILENCE_RATIO * np.max(far_end))
    # A user who starts to speak together with the anchor correlates at the onset only: frames after it count.
    counted = np.arange(len(far_end)) >= np.argmax(loudness > _SILENCE_RATIO * np.max(loudness))
    excess = _correlation_excess(near_end_db - near_end_db.mean(axis=0), far_end_db - far_end_db.mean(axis=0), counted)
    best = int(np.argmax(excess))
    return _DELAYS - 1 - best if excess[best] >= 0 else None


def _correlation_excess(near_end: Bands, far_end: Bands, counted: NDArray[np.bool_]) -> Bands:
    """For each delay, the longest first: by how much the correlation exceeds the threshold for chance."""
    frames = len(near_end)
    windows = sliding_window_view(far_end * counted[:, None], frames, axis=0)
    weights = sliding_window_view(counted, frames).astype(np.float32)
    total = np.maximum(np.sum(weights, axis=1), 1)
    near_sums, far_sums = weights @ near_end, np.sum(windows, axis=2)
    covariance = np.einsum("fb,sbf->s", near_end, windows) - np.sum(near_sums * far_sums, axis=1) / total
    near_spread = np.sum(weights @ np.square(near_end) - np.square(near_sums) / total[:, None], axis=1)
    far_spread = np.sum(np.square(windows), axis=(1, 2)) - np.sum(np.square(far_sums), axis=1) / total
    # A nearly constant signal correlates with anything.
    min_spread = _MIN_SPREAD * total * near_end.shape[1]
    correlation = covariance / np.sqrt(np.maximum(near_spread, min_spread) * np.maximum(far_spread, min_spread))
    threshold = _MIN_CORRELATION + _CORRELATION_FRAMES / total
    return np.where(total >= _MIN_FAR_END_FRAMES, correlation - threshold, -1).astype(np.float32)


def _gains(near_end: Bands, far_end: Bands, floor: Bands) -> Bands:
    """The share of the far end's energy that reaches the microphone, per band; the median over its loud frames."""
    loud = far_end > 0.05 * np.max(far_end, axis=0)
    ratios = np.where(loud, np.maximum(near_end - floor, 1e-9) / far_end, np.nan)
    return np.nanmedian(ratios, axis=0).astype(np.float32)


def _has_vanished(path: _EchoPath, near_end: Bands, far_end: Bands, floor: Bands) -> bool:
    """Whether the echo would stand out, and does not."""
    echo = path.gains * _delayed(far_end, path.delay, len(near_end))
    expected = echo > _VANISHED_RATIO * _ABOVE_FLOOR * floor
    if np.sum(expected) < _MIN_FAR_END_FRAMES * expected.shape[1] // 2:
        return False
    return bool(np.mean(near_end[expected] * _VANISHED_RATIO < echo[expected]) > _VANISHED_SHARE)


def _in_enough_bands(bands: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.mean(bands, axis=1) >= _MIN_BAND_SHARE
