"""Limits the speech of a phrase to the duration of its text, and estimates the times of its words. Pure."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tts_service.engine import Word
from tts_service.synthesis.watchdog import expected_speech_ms
from tts_service.text.normalisation import WordMarks, normalise_text

log = logging.getLogger(__name__)

# Relative to the expected duration; the watchdog fails the reply beyond three times the expected duration.
_MAX_TIMES_EXPECTED = 1.5
_MAX_SILENCE_MS = 1500
# -50 dBFS.
_SILENT = 10 ** (-50 / 20)


def max_speech_ms(text: str) -> float:
    """Maximum duration of the speech of `text`, in milliseconds."""
    return _MAX_TIMES_EXPECTED * expected_speech_ms(text, 1.0)


def max_frames(text: str, frame_ms: int) -> int:
    """Maximum number of frames of `frame_ms` in the speech of `text`."""
    return math.ceil(max_speech_ms(text) / frame_ms)


def is_silent(samples: NDArray[np.float32]) -> bool:
    """Whether no sample is louder than -50 dBFS."""
    return not (np.abs(samples) > _SILENT).any()


class SilenceGuard:
    """Detects that a phrase has fallen silent, after 1.5 s of silence."""

    def __init__(self, rate_hz: int) -> None:
        self._max_samples = rate_hz * _MAX_SILENCE_MS // 1000
        self._silent_samples = 0

    def push_samples(self, samples: NDArray[np.float32]) -> bool:
        """Add the next samples; return whether the silence has become too long."""
        loud = np.flatnonzero(np.abs(samples) > _SILENT)
        self._silent_samples = samples.size - 1 - int(loud[-1]) if loud.size else self._silent_samples + samples.size
        return self._silent_samples >= self._max_samples


class EstimatedWordTimes:
    """Word times estimated from a calm speaker's speed, for models that return none."""

    def __init__(self, text: str, rate_hz: int) -> None:
        samples = expected_speech_ms(text, 1.0) * rate_hz / 1000
        self._starts = [
            Word(start, end - start, int(samples * start / max(len(text), 1)))
            for start, end in WordMarks(normalise_text(text)).pop_remaining()
        ]

    def pop_until(self, end_sample: int) -> Iterator[Word]:
        """Yield the remaining words that start before `end_sample` of the phrase."""
        while self._starts and self._starts[0].first_sample < end_sample:
            yield self._starts.pop(0)


class PhraseLimiter:
    """Ends a phrase that becomes longer than its text allows, or falls silent."""

    def __init__(self, text: str, rate_hz: int) -> None:
        # At the fastest pace, the watchdog accepts exactly this and not a sample more.
        self._remaining_samples = math.floor(max_speech_ms(text)) * rate_hz // 1000
        self._silence = SilenceGuard(rate_hz)
        # Number of samples returned so far.
        self.emitted_samples = 0
        self.ended = False

    def limit_samples(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Add the next samples; return those within the limit, and set `ended` when the phrase is over."""
        kept = samples[: self._remaining_samples]
        self._remaining_samples -= kept.size
        self.emitted_samples += kept.size
        if self._remaining_samples <= 0:
            self._end_phrase("too long")
        elif self._silence.push_samples(kept):
            self._end_phrase("silent")
        return kept

    def _end_phrase(self, reason: str) -> None:
        self.ended = True
        log.warning("phrase truncated", extra={"reason": reason})
