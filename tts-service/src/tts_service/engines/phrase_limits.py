"""Keeps the speech of a phrase within what its text allows, and tells its words. Pure."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tts_service.engine import Word
from tts_service.synthesis.watchdog import expected_ms
from tts_service.text.normalisation import WordMarks, to_spoken

log = logging.getLogger(__name__)

# Over the length that a calm speaker's phrase has; beyond three times of it the reply would fail.
_MAX_TIMES_EXPECTED = 1.5
_MAX_SILENCE_MS = 1500
# -50 dBFS.
_SILENT = 10 ** (-50 / 20)


def longest_ms(text: str) -> float:
    """How long the speech of `text` may be at most."""
    return _MAX_TIMES_EXPECTED * expected_ms(text, 1.0)


def frame_cap(text: str, frame_ms: int) -> int:
    """How many frames of `frame_ms` the speech of `text` may have at most."""
    return math.ceil(longest_ms(text) / frame_ms)


class SilenceGuard:
    """Notices that nothing more is being said."""

    def __init__(self, rate_hz: int) -> None:
        self._max_samples = rate_hz * _MAX_SILENCE_MS // 1000
        self._silent_samples = 0

    def is_over(self, samples: NDArray[np.float32]) -> bool:
        """Take the next samples; whether silence has lasted too long."""
        loud = np.flatnonzero(np.abs(samples) > _SILENT)
        self._silent_samples = samples.size - 1 - int(loud[-1]) if loud.size else self._silent_samples + samples.size
        return self._silent_samples >= self._max_samples


class WordClock:
    """About when each word of `text` begins: the model does not say, so it is told from a calm speaker's speed."""

    def __init__(self, text: str, rate_hz: int) -> None:
        samples = expected_ms(text, 1.0) * rate_hz / 1000
        self._starts = [
            Word(start, end - start, int(samples * start / max(len(text), 1)))
            for start, end in WordMarks(to_spoken(text)).rest()
        ]

    def until(self, end_sample: int) -> Iterator[Word]:
        """The words that begin before `end_sample` of the phrase and were not told yet."""
        while self._starts and self._starts[0].first_sample < end_sample:
            yield self._starts.pop(0)


class PhraseEnd:
    """Ends a phrase that becomes longer than its text allows, or has fallen silent."""

    def __init__(self, text: str, rate_hz: int) -> None:
        # At the fastest pace, the reply bears just that and not a sample more.
        self._left = math.floor(longest_ms(text)) * rate_hz // 1000
        self._silence = SilenceGuard(rate_hz)
        # How many samples were spoken so far.
        self.samples = 0
        self.reached = False

    def cut(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples; return what of them is still within the phrase."""
        kept = samples[: self._left]
        self._left -= kept.size
        self.samples += kept.size
        if self._left <= 0:
            self._end("it became too long")
        elif self._silence.is_over(kept):
            self._end("it fell silent")
        return kept

    def _end(self, reason: str) -> None:
        self.reached = True
        log.warning("phrase was cut", extra={"reason": reason})
