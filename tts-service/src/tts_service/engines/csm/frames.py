"""When to decode how many frames. Pure.

The codec hears what came before and nothing of what comes: decoding a phrase from its beginning gives the same sound,
however far it reaches.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Frames of codes, shape [n, books]; a frame is 80 ms.
Codes = NDArray[np.int64]

# Text that the tokenizer, or the model, would take for one of its own signs.
_CONTROL = re.compile(r"<\|.*?\|>|\[\d+\]")

# How many frames each decoding adds; the last figure holds from there on.
DECODE_RAMP = (4, 8, 12, 25)


class FrameAccumulator:
    """The frames of one phrase, and how many of them were given out."""

    def __init__(self) -> None:
        self._frames: list[Codes] = []
        self._decodings = 0
        self.decoded_count = 0

    def push_frame(self, frame: Codes) -> Codes | None:
        """Take the next frame; return all frames when it is time to decode them."""
        self._frames.append(frame)
        size = DECODE_RAMP[min(self._decodings, len(DECODE_RAMP) - 1)]
        return self._stack() if len(self._frames) - self.decoded_count >= size else None

    def flush(self) -> Codes | None:
        """All frames, when some were not given out yet."""
        return self._stack() if len(self._frames) > self.decoded_count else None

    def _stack(self) -> Codes:
        self._decodings += 1
        self.decoded_count = len(self._frames)
        return np.stack(self._frames)


@dataclass(frozen=True, slots=True)
class PromptTurn:
    """What a speaker says, and how that sounds, once it was said."""

    speaker: int
    text: str
    frames: Codes | None = None

    @property
    def prompt_text(self) -> str:
        """The turn as the model reads it."""
        return f"[{self.speaker}]{_CONTROL.sub(' ', self.text).strip()}"
