"""The latest audio of a microphone, for those who judge how something was said."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from vad_service.engine import FRAME_MS, FRAME_SAMPLES, Frame

_SILENCE = np.zeros(FRAME_SAMPLES, np.int16)
_FULL_SCALE = 32768.0

# Frames in PCM16: what many microphones keep for minutes is half as large, and as exact, as it came in.
Recorded = tuple[NDArray[np.int16], ...]


class RecentAudio:
    """The latest `length_ms` of one microphone; older audio is let go."""

    def __init__(self, length_ms: int) -> None:
        self._frames: deque[NDArray[np.int16]] = deque(maxlen=length_ms // FRAME_MS)

    def append(self, frame: Frame, missing_ms: int) -> None:
        """Add a frame, and before it the silence that stands for audio that was left out."""
        room = self._frames.maxlen or 0
        if not room:
            return
        self._frames.extend(_SILENCE for _ in range(min(missing_ms // FRAME_MS, room)))
        self._frames.append((frame * _FULL_SCALE).astype(np.int16))

    def recorded(self) -> Recorded:
        """All of it as it is now, oldest first; cheap, and no later frame changes it."""
        return tuple(self._frames)


def samples(recorded: Recorded) -> NDArray[np.float32]:
    """Recorded frames as float32 in [-1, 1), shape [n]."""
    if not recorded:
        return np.empty(0, np.float32)
    return np.concatenate(recorded).astype(np.float32) / np.float32(_FULL_SCALE)
