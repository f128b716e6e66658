"""The frame filters: automatic gain, and noise suppression by Speex."""

from __future__ import annotations

import math

import numpy as np
from service_kit.audio import MICROPHONE, to_float, to_pcm
from service_kit.errors import Unsupported

# Above this gain, the microphone's own noise would be as loud as speech.
MAX_GAIN_DB = 30.0
# No output sample exceeds this level.
PEAK_DBFS = -1.0
_PEAK = 10 ** (PEAK_DBFS / 20)
# A frame counts as speech when it is this far above the noise floor, and above the minimum speech level.
_ABOVE_FLOOR_DB = 10.0
_MIN_SPEECH_DBFS = -65.0
_MIN_FLOOR_DBFS = -80.0
# Per frame of 10 ms. The noise floor rises within seconds, as a room changes. The speech level rises within a syllable
# or two and falls slowly, so that the ends of words are not amplified. The gain rises slower than a syllable does.
_FLOOR_RISE_DB = 0.04
_LOUDER_SHARE = 0.2
_QUIETER_SHARE = 0.005
_GAIN_STEP_DB = 0.4
_SILENCE_POWER = 1e-10


class AutomaticGain:
    """Raises quiet speech of one microphone to a target level, leaves pauses and loud speech alone, and never clips."""

    delay_bytes = 0

    def __init__(self, target_dbfs: float) -> None:
        self._target_dbfs = target_dbfs
        self._floor_dbfs: float | None = None
        self._speech_dbfs: float | None = None
        self._gain_db = 0.0

    def process_frame(self, frame: bytes) -> bytes:
        """Amplify 10 ms, gliding from the previous frame's gain to the new one."""
        samples = to_float(frame)
        peak = float(np.abs(samples).max())
        before_db = self._gain_db
        self._update_gain(10 * math.log10(float(np.dot(samples, samples)) / len(samples) + _SILENCE_POWER))
        max_gain_db = 20 * math.log10(_PEAK / peak) if peak else math.inf
        self._gain_db = min(self._gain_db, max(0.0, max_gain_db))
        if self._gain_db == before_db == 0.0:
            return frame
        gains_db = np.linspace(min(before_db, max(0.0, max_gain_db)), self._gain_db, len(samples), dtype=np.float32)
        return to_pcm(samples * np.power(10, gains_db / 20, dtype=np.float32))

    def _update_gain(self, loudness_dbfs: float) -> None:
        """Update the noise floor and, if the frame is speech, the speech level and the gain."""
        floor_dbfs = loudness_dbfs if self._floor_dbfs is None else self._floor_dbfs + _FLOOR_RISE_DB
        self._floor_dbfs = max(_MIN_FLOOR_DBFS, min(loudness_dbfs, floor_dbfs))
        if loudness_dbfs < max(_MIN_SPEECH_DBFS, self._floor_dbfs + _ABOVE_FLOOR_DB):
            return
        if self._speech_dbfs is None:
            self._speech_dbfs = loudness_dbfs
        louder = loudness_dbfs > self._speech_dbfs
        self._speech_dbfs += (loudness_dbfs - self._speech_dbfs) * (_LOUDER_SHARE if louder else _QUIETER_SHARE)
        target_db = min(max(0.0, self._target_dbfs - self._speech_dbfs), MAX_GAIN_DB)
        self._gain_db += min(max(target_db - self._gain_db, -_GAIN_STEP_DB), _GAIN_STEP_DB)


class SpeexNoiseSuppressor:
    """Speex noise suppression of one microphone. Raises `Unsupported` where pyspeex-noise is not installed."""

    # Speex works on windows of 20 ms that overlap by half.
    delay_bytes = MICROPHONE.bytes_for(10)

    def __init__(self, suppression_db: int) -> None:
        """Attenuate steady noise by at most `suppression_db`, above 0."""
        try:
            from pyspeex_noise import AudioProcessor
        except ImportError as error:
            raise Unsupported(
                "orchestrator.no_noise_suppression",
                "noise suppression needs the package pyspeex-noise: install the extra orchestrator[noise-suppression]",
            ) from error
        # Speex's own gain stays off: the binding passes it in a form that Speex misreads, which silences everything.
        self._speex = AudioProcessor(0, -suppression_db)

    def process_frame(self, frame: bytes) -> bytes:
        """Take 10 ms and return the previous 10 ms, denoised."""
        return self._speex.process_10ms(frame)
