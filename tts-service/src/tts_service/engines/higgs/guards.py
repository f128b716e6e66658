"""Ends a phrase whose speech runs away. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tts_service.engine import Word
from tts_service.engines.higgs.delay import Codes
from tts_service.spoken import WordMarks, to_spoken
from tts_service.watchdog import expected_ms

FRAME_MS = 40
# Over the length that a calm speaker's phrase has; beyond three times of it the reply would fail.
_MAX_TIMES_EXPECTED = 1.5
# A second of one and the same frame.
_MAX_EQUAL_FRAMES = 25
_MAX_SILENCE_MS = 1500
# -50 dBFS.
_SILENT = 10 ** (-50 / 20)


def frame_cap(text: str) -> int:
    """How many frames the speech of `text` may have at most."""
    return math.ceil(_MAX_TIMES_EXPECTED * expected_ms(text, 1.0) / FRAME_MS)


class RepeatGuard:
    """Notices a model that is stuck on one frame."""

    def __init__(self) -> None:
        self._last: bytes = b""
        self._equal = 0

    def is_stuck(self, frame: Codes) -> bool:
        """Take the next frame; whether it is one of too many equal ones."""
        seen = frame.tobytes()
        self._equal = self._equal + 1 if seen == self._last else 1
        self._last = seen
        return self._equal >= _MAX_EQUAL_FRAMES


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
