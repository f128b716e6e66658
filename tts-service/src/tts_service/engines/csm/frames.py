"""Codec frames of CSM: in the prompt, and accumulated for decoding. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Frames of codes, shape [n, books]; a frame is 80 ms.
Codes = NDArray[np.int64]

# Text that the tokenizer, or the model, would read as a control token.
_CONTROL = re.compile(r"<\|.*?\|>|\[\d+\]")

# Frames added by each decoding; the last value repeats.
DECODE_RAMP = (4, 8, 12, 25)


class FrameAccumulator:
    """The frames of one phrase; decides when to decode them.

    The codec is causal: decoding always starts at the phrase's first frame, and samples already decoded do not change.
    """

    def __init__(self) -> None:
        self._frames: list[Codes] = []
        self._decodings = 0
        self.decoded_count = 0

    def push_frame(self, frame: Codes) -> Codes | None:
        """Add the next frame; return all frames, shape [n, books], when it is time to decode them."""
        self._frames.append(frame)
        size = DECODE_RAMP[min(self._decodings, len(DECODE_RAMP) - 1)]
        return self._stack() if len(self._frames) - self.decoded_count >= size else None

    def flush(self) -> Codes | None:
        """Return all frames if some are not decoded yet."""
        return self._stack() if len(self._frames) > self.decoded_count else None

    def _stack(self) -> Codes:
        self._decodings += 1
        self.decoded_count = len(self._frames)
        return np.stack(self._frames)


@dataclass(frozen=True, slots=True)
class PromptTurn:
    """One turn of the conversation that the model reads; the turn to be spoken has no `frames`."""

    speaker: int
    text: str
    frames: Codes | None = None

    @property
    def prompt_text(self) -> str:
        """The turn's text with its speaker tag, without control tokens."""
        return f"[{self.speaker}]{_CONTROL.sub(' ', self.text).strip()}"
