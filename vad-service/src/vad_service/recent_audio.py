"""The latest audio of one microphone, for turn-end predictors that work on audio."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from vad_service.engine import FRAME_MS, FRAME_SAMPLES, Frame

_SILENCE = np.zeros(FRAME_SAMPLES, np.int16)
_FULL_SCALE = 32768.0

# Frames in PCM16: half the size of float32 for audio that is kept for minutes per microphone, and without loss.
PcmFrames = tuple[NDArray[np.int16], ...]


class RecentAudio:
    """Ring buffer of the latest `length_ms` of one microphone."""

    def __init__(self, length_ms: int) -> None:
        self._frames: deque[NDArray[np.int16]] = deque(maxlen=length_ms // FRAME_MS)

    def append(self, frame: Frame, missing_ms: int) -> None:
        """Append a frame, preceded by `missing_ms` of silence for a gap in the audio."""
        capacity = self._frames.maxlen or 0
        if not capacity:
            return
        self._frames.extend(_SILENCE for _ in range(min(missing_ms // FRAME_MS, capacity)))
        self._frames.append((frame * _FULL_SCALE).astype(np.int16))

    def snapshot(self) -> PcmFrames:
        """Return the frames, oldest first. Cheap; later frames do not change it."""
        return tuple(self._frames)


def join_frames(frames: PcmFrames) -> NDArray[np.float32]:
    """Return the samples of `frames` as float32 in [-1, 1), shape [n]."""
    if not frames:
        return np.empty(0, np.float32)
    return np.concatenate(frames).astype(np.float32) / np.float32(_FULL_SCALE)
