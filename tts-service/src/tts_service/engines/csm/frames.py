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
EMISSION_RAMP = (4, 8, 12, 25)


class Emission:
    """The frames of one phrase, and how many of them were given out."""

    def __init__(self) -> None:
        self._frames: list[Codes] = []
        self._windows = 0
        self.emitted = 0

    def add(self, frame: Codes) -> Codes | None:
        """Take the next frame; return all frames when it is time to decode them."""
        self._frames.append(frame)
        size = EMISSION_RAMP[min(self._windows, len(EMISSION_RAMP) - 1)]
        return self._all() if len(self._frames) - self.emitted >= size else None

    def finish(self) -> Codes | None:
        """All frames, when some were not given out yet."""
        return self._all() if len(self._frames) > self.emitted else None

    def _all(self) -> Codes:
        self._windows += 1
        self.emitted = len(self._frames)
        return np.stack(self._frames)


@dataclass(frozen=True, slots=True)
class Turn:
    """What a speaker says, and how that sounds, once it was said."""

    speaker: int
    text: str
    frames: Codes | None = None

    @property
    def written(self) -> str:
        """The turn as the model reads it."""
        return f"[{self.speaker}]{_CONTROL.sub(' ', self.text).strip()}"
