"""Divides a phrase's frames into decode windows: early audio, and the same samples as one whole decoding. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tts_service.engines.higgs.delay import Codes

# The receptive field of the codec's decoder is 9.85 frames to either side.
CONTEXT_FRAMES = 10
# New frames per window; the last value repeats.
DECODE_RAMP = (4, 6, 10, 20, 25)


@dataclass(frozen=True, slots=True)
class Window:
    """Frames to decode, shape [n, books]. The samples of `keep` frames after the first `skip` are used."""

    frames: Codes
    skip: int
    keep: int


class FrameWindower:
    """Collects the frames of one phrase and returns windows that are ready to decode."""

    def __init__(self) -> None:
        self._frames: list[Codes] = []
        # Index in the phrase of the first buffered frame.
        self._first = 0
        self._decoded = 0
        self._windows = 0

    @property
    def decoded_frames(self) -> int:
        """Number of frames of the phrase in the windows so far."""
        return self._decoded

    def push_frame(self, frame: Codes) -> Window | None:
        """Add the next frame; return the next window if its context is complete."""
        self._frames.append(frame)
        size = DECODE_RAMP[min(self._windows, len(DECODE_RAMP) - 1)]
        known = self._first + len(self._frames)
        return self._next_window(size) if known >= self._decoded + size + CONTEXT_FRAMES else None

    def flush(self) -> Window | None:
        """Return the last window of the phrase, if frames are left."""
        left = self._first + len(self._frames) - self._decoded
        return self._next_window(left) if left else None

    def _next_window(self, size: int) -> Window:
        start = max(self._decoded - CONTEXT_FRAMES, 0)
        del self._frames[: start - self._first]
        self._first = start
        stop = self._decoded + size + CONTEXT_FRAMES - start
        window = Window(np.stack(self._frames[:stop]), self._decoded - start, size)
        self._decoded += size
        self._windows += 1
        return window
