"""Keeps the speech of a phrase within what its text allows, and tells its words. Pure."""

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

# Over the length that a calm speaker's phrase has; beyond three times of it the reply would fail.
_MAX_TIMES_EXPECTED = 1.5
_MAX_SILENCE_MS = 1500
# -50 dBFS.
_SILENT = 10 ** (-50 / 20)


def max_speech_ms(text: str) -> float:
    """How long the speech of `text` may be at most."""
    return _MAX_TIMES_EXPECTED * expected_speech_ms(text, 1.0)


def max_frames(text: str, frame_ms: int) -> int:
    """How many frames of `frame_ms` the speech of `text` may have at most."""
    return math.ceil(max_speech_ms(text) / frame_ms)


class SilenceGuard:
    """Notices that nothing more is being said."""

    def __init__(self, rate_hz: int) -> None:
        self._max_samples = rate_hz * _MAX_SILENCE_MS // 1000
        self._silent_samples = 0

    def push_samples(self, samples: NDArray[np.float32]) -> bool:
        """Take the next samples; whether silence has lasted too long."""
        loud = np.flatnonzero(np.abs(samples) > _SILENT)
        self._silent_samples = samples.size - 1 - int(loud[-1]) if loud.size else self._silent_samples + samples.size
        return self._silent_samples >= self._max_samples


class EstimatedWordTimes:
    """About when each word of `text` begins: the model does not say, so it is told from a calm speaker's speed."""

    def __init__(self, text: str, rate_hz: int) -> None:
        samples = expected_speech_ms(text, 1.0) * rate_hz / 1000
        self._starts = [
            Word(start, end - start, int(samples * start / max(len(text), 1)))
            for start, end in WordMarks(normalise_text(text)).pop_remaining()
        ]

    def pop_until(self, end_sample: int) -> Iterator[Word]:
        """The words that begin before `end_sample` of the phrase and were not told yet."""
        while self._starts and self._starts[0].first_sample < end_sample:
            yield self._starts.pop(0)


class PhraseLimiter:
    """Ends a phrase that becomes longer than its text allows, or has fallen silent."""

    def __init__(self, text: str, rate_hz: int) -> None:
        # At the fastest pace, the reply bears just that and not a sample more.
        self._remaining_samples = math.floor(max_speech_ms(text)) * rate_hz // 1000
        self._silence = SilenceGuard(rate_hz)
        # How many samples were spoken so far.
        self.emitted_samples = 0
        self.ended = False

    def limit_samples(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples; return what of them is still within the phrase."""
        kept = samples[: self._remaining_samples]
        self._remaining_samples -= kept.size
        self.emitted_samples += kept.size
        if self._remaining_samples <= 0:
            self._end_phrase("it became too long")
        elif self._silence.push_samples(kept):
            self._end_phrase("it fell silent")
        return kept

    def _end_phrase(self, reason: str) -> None:
        self.ended = True
        log.warning("phrase was cut", extra={"reason": reason})
