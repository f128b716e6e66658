"""Automatic gain: brings quiet speech up to a level, leaves what lies between alone, and never clips."""

from __future__ import annotations

import math

import numpy as np
from service_kit.audio import to_float, to_pcm

# Never more than this; beyond, a microphone's own noise would be as loud as speech.
MAX_GAIN_DB = 30.0
# No sample leaves beyond this.
PEAK_DBFS = -1.0
_PEAK = 10 ** (PEAK_DBFS / 20)
# A frame this far above the quietest of the recent past is taken for speech, and never one below the least.
_ABOVE_FLOOR_DB = 10.0
_LEAST_SPEECH_DBFS = -65.0
_LEAST_FLOOR_DBFS = -80.0
# Per frame of 10 ms. The floor forgets in seconds, as a room changes; loudness is found within a syllable or two and
# given up slowly, so that the ends of words are not lifted; the gain climbs slower than a syllable rises.
_FLOOR_RISE_DB = 0.04
_LOUDER_SHARE = 0.2
_QUIETER_SHARE = 0.005
_GAIN_STEP_DB = 0.4
_SILENCE_POWER = 1e-10


class AutomaticGain:
    """One microphone's gain. Pure arithmetic: a frame in, the frame louder out."""

    delay_bytes = 0

    def __init__(self, target_dbfs: float) -> None:
        self._target_dbfs = target_dbfs
        self._floor_dbfs: float | None = None
        self._speech_dbfs: float | None = None
        self._gain_db = 0.0

    def process_frame(self, frame: bytes) -> bytes:
        """10 ms at the gain of now; the gain glides within the frame."""
        samples = to_float(frame)
        peak = float(np.abs(samples).max())
        before_db = self._gain_db
        self._listen(10 * math.log10(float(np.dot(samples, samples)) / len(samples) + _SILENCE_POWER))
        loudest_db = 20 * math.log10(_PEAK / peak) if peak else math.inf
        self._gain_db = min(self._gain_db, max(0.0, loudest_db))
        if self._gain_db == before_db == 0.0:
            return frame
        gains_db = np.linspace(min(before_db, max(0.0, loudest_db)), self._gain_db, len(samples), dtype=np.float32)
        return to_pcm(samples * np.power(10, gains_db / 20, dtype=np.float32))

    def _listen(self, loudness_dbfs: float) -> None:
        """Learn from a frame how loud the room and the speaker are; move the gain only while somebody speaks."""
        floor_dbfs = loudness_dbfs if self._floor_dbfs is None else self._floor_dbfs + _FLOOR_RISE_DB
        self._floor_dbfs = max(_LEAST_FLOOR_DBFS, min(loudness_dbfs, floor_dbfs))
        if loudness_dbfs < max(_LEAST_SPEECH_DBFS, self._floor_dbfs + _ABOVE_FLOOR_DB):
            return
        if self._speech_dbfs is None:
            self._speech_dbfs = loudness_dbfs
        louder = loudness_dbfs > self._speech_dbfs
        self._speech_dbfs += (loudness_dbfs - self._speech_dbfs) * (_LOUDER_SHARE if louder else _QUIETER_SHARE)
        wanted_db = min(max(0.0, self._target_dbfs - self._speech_dbfs), MAX_GAIN_DB)
        self._gain_db += min(max(wanted_db - self._gain_db, -_GAIN_STEP_DB), _GAIN_STEP_DB)
