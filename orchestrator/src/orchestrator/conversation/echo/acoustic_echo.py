"""The anchor's own voice in the microphone, told by its sound, whatever a recogniser makes of it.

What sounds and what is heard are compared as energies in a few bands, every 20 ms: an echo rises and falls with the
voice that it is of, later and quieter. What is louder than that echo can be is somebody else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from service_kit.audio import MICROPHONE, SPEECH

Samples = NDArray[np.int16]
# A row for each 20 ms, a column for each band.
Bands = NDArray[np.float32]

FRAME_MS = 20
_WINDOW_MS = 32
# Where speech is, and where small loudspeakers are.
_EDGES_HZ = np.geomspace(200, 5_000, 15)
_BIN_HZ = 1_000 / _WINDOW_MS

# An echo is looked for from so long before a voice is held to sound (a client's reports come late) to so long after.
EARLIEST_MS = -100
LATEST_MS = 600
_SHIFTS = (LATEST_MS - EARLIEST_MS) // FRAME_MS + 1
# What is compared at once, and the least of the voice that must have sounded in it.
COMPARED_MS = 1_200
_COMPARED = COMPARED_MS // FRAME_MS
_LEAST_SOUNDING = 10
# A room still holds so much of a frame's energy in the next one: 60 dB in 0.3 s.
_DECAY = 0.4
# A band is silent this far below the loudest.
_SILENT = 1e-3
# Energy of a band, in steps of 16 bits squared, below which there is no voice at all.
_LEAST_AUDIBLE = 1.0

# Likeness (a correlation) that chance does not bring about: less will do when more was compared.
_LIKE = 0.46
_LIKE_FRAMES = 4.0
_LEAST_SPREAD = 0.1

# A sound is somebody else's where it is this much louder than the echo and than the quietest of the last seconds, in
# this share of the bands.
_ABOVE_ECHO = 6.0
_ABOVE_FLOOR = 60.0
_SHARE = 0.3
# Frames by which an echo may be early or late.
_UNSTEADY = 2
# An echo is gone when this share of where it would stand out is this much quieter than it would be.
_GONE = 0.5
_QUIETER = 6.0


@dataclass(frozen=True, slots=True)
class EchoEstimate:
    """A sound in which the anchor's own voice was found: how much of it that voice explains, and how much not."""

    far_end_ms: int
    near_end_ms: int


@dataclass(frozen=True, slots=True)
class _Path:
    """How the voice comes to the microphone: so many frames after the earliest, with so much of its energy a band."""

    shift: int
    gains: Bands


class AcousticEcho:
    """Compares one session's microphone with what sounds, and remembers how the one came to the other."""

    def __init__(self) -> None:
        self._path: _Path | None = None

    def estimate(self, microphone: Samples, far_end: Samples, asked_ms: int) -> EchoEstimate | None:
        """What the last `asked_ms` of the microphone hold, `COMPARED_MS` at most; None where nothing echoes.

        `microphone` is 16 kHz; `sounded` is 24 kHz, and lasts from `LATEST_MS` before it to `-EARLIEST_MS` after.
        """
        heard = bands_of(microphone, MICROPHONE.rate_hz)
        count = min(_COMPARED, len(heard))
        before = (len(heard) - count) * FRAME_MS * SPEECH.rate_hz // 1_000
        voice = _reverberant(bands_of(far_end[before:], SPEECH.rate_hz))[: count + _SHIFTS - 1]
        if len(voice) < count + _SHIFTS - 1 or count < _LEAST_SOUNDING:
            return None
        floor = np.quantile(heard, 0.1, axis=0).astype(np.float32)
        heard = heard[-count:]
        self._learn(heard, voice, floor)
        if self._path is None:
            return None
        asked = min(count, max(1, asked_ms // FRAME_MS))
        sound = heard[-asked:]
        echo = self._path.gains * _shifted(_unsteady(voice), self._path.shift, count)[-asked:]
        audible = _mostly(sound > _ABOVE_FLOOR * floor)
        own = _mostly(sound > _ABOVE_ECHO * echo + _ABOVE_FLOOR * floor)
        return EchoEstimate(int(np.sum(audible & ~own)) * FRAME_MS, int(np.sum(own)) * FRAME_MS)

    def _learn(self, heard: Bands, voice: Bands, floor: Bands) -> None:
        if self._path is not None and _is_gone(self._path, heard, voice, floor):
            self._path = None
        shift = _best_shift(heard, voice, floor)
        if shift is None:
            return
        gains = _gains(heard, _shifted(voice, shift, len(heard)), floor)
        if self._path is not None and abs(shift - self._path.shift) <= 1:
            # Neither a moment's silence nor a voice over the echo changes it at once.
            gains = np.sqrt(gains * self._path.gains)
        self._path = _Path(shift, gains)


def bands_of(samples: Samples, rate_hz: int) -> Bands:
    """Energy in each band, every 20 ms; of what is shorter than one window, nothing."""
    width = rate_hz * _WINDOW_MS // 1_000
    edges = np.searchsorted(np.arange(width // 2 + 1) * _BIN_HZ, _EDGES_HZ)
    if len(samples) < width:
        return np.empty((0, len(edges) - 1), np.float32)
    windows = sliding_window_view(samples, width)[:: rate_hz * FRAME_MS // 1_000]
    spectra = np.fft.rfft(windows * np.hanning(width).astype(np.float32), axis=1)[:, : edges[-1]]
    energies = np.add.reduceat(np.square(np.abs(spectra)), edges[:-1], axis=1) / width**2
    # The least that 16 bits can tell.
    return np.maximum(energies, 1e-3).astype(np.float32)


def _reverberant(voice: Bands) -> Bands:
    """The voice as a room keeps it."""
    kept = voice.copy()
    for at in range(1, len(kept)):
        kept[at] += _DECAY * kept[at - 1]
    return kept


def _unsteady(voice: Bands) -> Bands:
    """The loudest that it is about each moment: just when it sounds is known roughly, the more so after a pause."""
    around = np.pad(voice, ((_UNSTEADY, _UNSTEADY), (0, 0)), mode="edge")
    return np.max(sliding_window_view(around, 2 * _UNSTEADY + 1, axis=0), axis=2)


def _shifted(voice: Bands, shift: int, count: int) -> Bands:
    return voice[_SHIFTS - 1 - shift : _SHIFTS - 1 - shift + count]


def _best_shift(heard: Bands, voice: Bands, floor: Bands) -> int | None:
    """How much later than the earliest the voice is heard; None when the two are not alike."""
    loudness = np.max(voice, axis=1)
    if np.max(loudness) <= _LEAST_AUDIBLE:
        return None
    heard_db = np.log(heard + floor)
    voice_db = np.log(voice + _SILENT * np.max(voice))
    # Who begins to speak about when the anchor does is like it in nothing but that: only what comes after counts.
    since = np.arange(len(voice)) >= np.argmax(loudness > _SILENT * np.max(loudness))
    sure = _likeness(heard_db - heard_db.mean(axis=0), voice_db - voice_db.mean(axis=0), since)
    best = int(np.argmax(sure))
    return _SHIFTS - 1 - best if sure[best] >= 0 else None


def _likeness(heard: Bands, voice: Bands, counts: NDArray[np.bool_]) -> Bands:
    """For each shift, the latest first: by how much the correlation exceeds what chance may bring about."""
    frames = len(heard)
    windows = sliding_window_view(voice * counts[:, None], frames, axis=0)
    weights = sliding_window_view(counts, frames).astype(np.float32)
    total = np.maximum(np.sum(weights, axis=1), 1)
    heard_sums, voice_sums = weights @ heard, np.sum(windows, axis=2)
    together = np.einsum("fb,sbf->s", heard, windows) - np.sum(heard_sums * voice_sums, axis=1) / total
    heard_spread = np.sum(weights @ np.square(heard) - np.square(heard_sums) / total[:, None], axis=1)
    voice_spread = np.sum(np.square(windows), axis=(1, 2)) - np.sum(np.square(voice_sums), axis=1) / total
    # What hardly changes is like anything.
    least = _LEAST_SPREAD * total * heard.shape[1]
    alike = together / np.sqrt(np.maximum(heard_spread, least) * np.maximum(voice_spread, least))
    return np.where(total >= _LEAST_SOUNDING, alike - _LIKE - _LIKE_FRAMES / total, -1).astype(np.float32)


def _gains(heard: Bands, voice: Bands, floor: Bands) -> Bands:
    """How much of the voice's energy is heard in each band, where it is loud."""
    loud = voice > 0.05 * np.max(voice, axis=0)
    ratios = np.where(loud, np.maximum(heard - floor, 1e-9) / voice, np.nan)
    return np.nanmedian(ratios, axis=0).astype(np.float32)


def _is_gone(path: _Path, heard: Bands, voice: Bands, floor: Bands) -> bool:
    """Whether the echo would stand out, and does not."""
    echo = path.gains * _shifted(voice, path.shift, len(heard))
    expected = echo > _QUIETER * _ABOVE_FLOOR * floor
    if np.sum(expected) < _LEAST_SOUNDING * expected.shape[1] // 2:
        return False
    return bool(np.mean(heard[expected] * _QUIETER < echo[expected]) > _GONE)


def _mostly(bands: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.mean(bands, axis=1) >= _SHARE
