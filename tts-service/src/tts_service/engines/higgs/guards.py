"""Ends a phrase whose speech runs away. Pure."""

from __future__ import annotations

from tts_service.engines import phrase_guards
from tts_service.engines.higgs.delay import Codes

FRAME_MS = 40
# A second of one and the same frame.
_MAX_EQUAL_FRAMES = 25


def frame_cap(text: str) -> int:
    """How many frames the speech of `text` may have at most."""
    return phrase_guards.frame_cap(text, FRAME_MS)


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
