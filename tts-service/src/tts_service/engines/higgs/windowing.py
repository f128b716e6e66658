"""When to decode which frames, so that speech comes early and every sample is as if decoded in one piece. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tts_service.engines.higgs.model.delay import Codes

# The codec's decoder hears 9.85 frames to either side of what it says.
CONTEXT_FRAMES = 10
# How many frames each decoding gives; the last figure holds from there on.
DECODE_RAMP = (4, 6, 10, 20, 25)


@dataclass(frozen=True, slots=True)
class Window:
    """Frames to decode, shape [n, books], and which of them to keep: `keep` from `skip` on."""

    frames: Codes
    skip: int
    keep: int


class FrameWindower:
    """The frames of one phrase, given out in windows."""

    def __init__(self) -> None:
        self._frames: list[Codes] = []
        # Place of the first kept frame in the phrase.
        self._first = 0
        self._decoded = 0
        self._windows = 0

    @property
    def decoded_frames(self) -> int:
        """How many frames of the phrase the windows have covered."""
        return self._decoded

    def push_frame(self, frame: Codes) -> Window | None:
        """Take the next frame; return the window that has all its context now."""
        self._frames.append(frame)
        size = DECODE_RAMP[min(self._windows, len(DECODE_RAMP) - 1)]
        known = self._first + len(self._frames)
        return self._next_window(size) if known >= self._decoded + size + CONTEXT_FRAMES else None

    def flush(self) -> Window | None:
        """What is left: the end of the phrase is context enough."""
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
