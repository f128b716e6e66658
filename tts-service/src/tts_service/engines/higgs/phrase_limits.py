"""Ends a phrase whose speech runs away. Pure."""

from __future__ import annotations

import math

from tts_service.engines import phrase_limits
from tts_service.engines.higgs.model.delay import Codes
from tts_service.synthesis.watchdog import MAX_TIMES_EXPECTED, expected_speech_ms

FRAME_MS = 40
# A second of one and the same frame.
_MAX_EQUAL_FRAMES = 25


def max_phrase_frames(text: str, pace: float = 1.0) -> int:
    """How many frames the speech of `text` may have at most.

    A slow pace gives more; a fast one no fewer, since the model need not follow it, while the reply bears them.
    """
    cap = phrase_limits.max_frames(text, FRAME_MS) / min(pace, 1.0)
    bearable = MAX_TIMES_EXPECTED * expected_speech_ms(text, pace) / FRAME_MS
    return min(math.ceil(cap), math.floor(bearable))


class RepeatGuard:
    """Notices a model that is stuck on one frame."""

    def __init__(self) -> None:
        self._last: bytes = b""
        self._equal = 0

    def push_frame(self, frame: Codes) -> bool:
        """Take the next frame; whether it is one of too many equal ones."""
        seen = frame.tobytes()
        self._equal = self._equal + 1 if seen == self._last else 1
        self._last = seen
        return self._equal >= _MAX_EQUAL_FRAMES
