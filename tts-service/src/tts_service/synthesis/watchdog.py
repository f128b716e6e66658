"""Output watchdog: checks an engine's samples and repairs them, or raises `EngineFailed`. Pure.

| check        | condition                                          | consequence                                   |
|--------------|----------------------------------------------------|-----------------------------------------------|
| not_finite   | a sample is NaN or infinite                        | replaced by silence; over 50 ms: garbage      |
| garbage      | samples are not one-dimensional float32            | `EngineFailed("tts.garbage")`                 |
| garbage      | over 200 ms of the phrase are at full scale        | `EngineFailed("tts.garbage")`                 |
| too_loud     | a sample exceeds -1 dBFS                           | soft limiter above -2 dBFS                    |
| long_silence | more than 2 s of continuous silence                | the excess silence is dropped                 |
| click        | a step over 0.5 between two chunks                 | the step is smoothed over 5 ms                |
| endless      | speech is three times longer than its text allows  | cut there; `EngineFailed("tts.endless")`      |
| no_audio     | a phrase ended with nothing but silence            | `EngineFailed("tts.no_audio")`                |
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
from numpy.typing import NDArray
from service_kit.errors import EngineFailed

Floats = NDArray[np.float32]

MAX_NOT_FINITE_MS = 50
MAX_FULL_SCALE_MS = 200
MAX_SILENCE_MS = 2000
MAX_STEP = 0.5
SMOOTHING_MS = 5
MAX_TIMES_EXPECTED = 3

# -1 and -2 dBFS.
_CEILING = 10 ** (-1 / 20)
_KNEE = 10 ** (-2 / 20)
# -60 dBFS.
_SILENT = 1e-3

_MS_PER_LETTER = 75
# A Chinese character or a Korean syllable block is a whole syllable.
_MS_PER_SYLLABLE = 250
_SYLLABLES = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]")
# A digit, a sign or a capital may be a whole word: "7" is "seven", "%" is "percent", "B" is "bee".
_LETTERS_PER_SIGN = 8
_LETTERS_PER_CAPITAL = 4
# Pauses around the phrase.
_MS_PER_PHRASE = 1000


def expected_speech_ms(text: str, pace: float) -> float:
    """Estimate the duration of `text` at `pace` times the speed of a calm speaker, in milliseconds."""
    others, syllables = _SYLLABLES.subn("", text)
    letters = 0
    for character in others:
        if character.isupper():
            letters += _LETTERS_PER_CAPITAL
        elif character.isalpha() or character.isspace():
            letters += 1
        else:
            letters += _LETTERS_PER_SIGN
    return (_MS_PER_PHRASE + letters * _MS_PER_LETTER + syllables * _MS_PER_SYLLABLE) / pace


class PhraseWatchdog:
    """Checks the samples of one phrase."""

    def __init__(self, text: str, pace: float, rate_hz: int) -> None:
        # Number of repairs by check.
        self.repairs: Counter[str] = Counter()
        # Samples dropped so far; the engine's word positions shift by them.
        self.dropped_samples = 0
        self._per_ms = rate_hz / 1000
        self._remaining_samples = int(MAX_TIMES_EXPECTED * expected_speech_ms(text, pace) * self._per_ms)
        self._not_finite_samples = 0
        self._full_scale_samples = 0
        self._silent_samples = 0
        self._has_sound = False
        self._last: np.float32 | None = None

    def check_samples(self, samples: Floats) -> Floats:
        """Return `samples`, repaired where needed. Raises `EngineFailed` for samples beyond repair."""
        if samples.ndim != 1 or samples.dtype != np.float32:
            raise EngineFailed("tts.garbage", f"the engine returned {samples.dtype} of shape {samples.shape}")
        if samples.size == 0:
            return samples
        samples = self._replace_non_finite(samples)
        peak = float(np.max(np.abs(samples)))
        if peak > _KNEE:
            samples = self._limit(samples, peak)
        samples = self._shorten_silence(samples, peak)
        if samples.size == 0:
            return samples
        self._remaining_samples -= samples.size
        if self._remaining_samples < 0:
            raise EngineFailed("tts.endless", "the speech became three times longer than its text allows")
        samples = self._smooth_click(samples)
        self._last = samples[-1]
        return samples

    def finish_phrase(self) -> None:
        """End the phrase. Raises `EngineFailed` when it had no sound."""
        if not self._has_sound:
            raise EngineFailed("tts.no_audio", "the engine returned no sound for a phrase")

    def _replace_non_finite(self, samples: Floats) -> Floats:
        finite = np.isfinite(samples)
        if finite.all():
            return samples
        self.repairs["not_finite"] += 1
        self._not_finite_samples += int(samples.size - np.count_nonzero(finite))
        if self._not_finite_samples > MAX_NOT_FINITE_MS * self._per_ms:
            raise EngineFailed("tts.garbage", "the engine returned samples that are NaN or infinite")
        return np.where(finite, samples, np.float32(0))

    def _limit(self, samples: Floats, peak: float) -> Floats:
        if peak >= 1:
            self._full_scale_samples += int(np.count_nonzero(np.abs(samples) >= 1))
            if self._full_scale_samples > MAX_FULL_SCALE_MS * self._per_ms:
                raise EngineFailed("tts.garbage", "the engine returned samples at full scale")
        if peak > _CEILING:
            self.repairs["too_loud"] += 1
        size = np.abs(samples)
        width = _CEILING - _KNEE
        limited = _KNEE + width * np.tanh((size - _KNEE) / width)
        return np.where(size > _KNEE, np.copysign(limited, samples), samples).astype(np.float32)

    def _shorten_silence(self, samples: Floats, peak: float) -> Floats:
        if peak > _SILENT:
            self._has_sound = True
            loud = np.flatnonzero(np.abs(samples) > _SILENT)
            self._silent_samples = int(samples.size - 1 - loud[-1])
            return samples
        room = max(int(MAX_SILENCE_MS * self._per_ms) - self._silent_samples, 0)
        self._silent_samples += samples.size
        if samples.size <= room:
            return samples
        self.repairs["long_silence"] += 1
        self.dropped_samples += samples.size - room
        # Endless silence counts as endless speech.
        self._remaining_samples -= samples.size - room
        return samples[:room] if self._remaining_samples >= 0 else samples

    def _smooth_click(self, samples: Floats) -> Floats:
        if self._last is None or abs(float(samples[0] - self._last)) <= MAX_STEP:
            return samples
        self.repairs["click"] += 1
        length = min(samples.size, int(SMOOTHING_MS * self._per_ms))
        samples = samples.copy()
        samples[:length] += (self._last - samples[0]) * np.linspace(1, 0, length, dtype=np.float32)
        return np.clip(samples, -_CEILING, _CEILING)
