"""Limits of a phrase's frames: its duration, and repeated frames. Pure."""

from __future__ import annotations

import math

from tts_service.engines import phrase_limits
from tts_service.engines.higgs.delay import Codes
from tts_service.synthesis.watchdog import MAX_TIMES_EXPECTED, expected_speech_ms

FRAME_MS = 40
# One second.
_MAX_EQUAL_FRAMES = 25


def max_phrase_frames(text: str, pace: float = 1.0) -> int:
    """Maximum number of frames in the speech of `text`.

    A slow pace allows more. A fast pace allows no fewer, since the model may ignore it, up to the watchdog's limit.
    """
    limit = phrase_limits.max_frames(text, FRAME_MS) / min(pace, 1.0)
    watchdog_limit = MAX_TIMES_EXPECTED * expected_speech_ms(text, pace) / FRAME_MS
    return min(math.ceil(limit), math.floor(watchdog_limit))


class RepeatGuard:
    """Detects a model that is stuck on one frame."""

    def __init__(self) -> None:
        self._last: bytes = b""
        self._equal = 0

    def push_frame(self, frame: Codes) -> bool:
        """Add the next frame; return whether it has repeated for too long."""
        codes = frame.tobytes()
        self._equal = self._equal + 1 if codes == self._last else 1
        self._last = codes
        return self._equal >= _MAX_EQUAL_FRAMES
