"""What the model reads before it speaks: turns of a conversation, the last of them without its sound. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Frames of codes, shape [n, books]; a frame is 80 ms.
Codes = NDArray[np.int64]

# Text that the tokenizer, or the model, would take for one of its own signs.
_CONTROL = re.compile(r"<\|.*?\|>|\[\d+\]")


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
