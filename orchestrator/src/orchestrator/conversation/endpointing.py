"""Endpointing: how long a silence is waited for before the user's turn is held to be over."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpointing:
    """Waits between `floor_ms` (the predictor is sure) and `ceiling_ms` (the sentence hangs).

    The wait falls with the square of doubt: a predictor that halves its doubt earns most of the speed-up, while
    one that merely leans one way still leaves room to go on. A predictor that knows nothing but the pause says
    0.5 and gets 450 ms with the defaults.
    """

    floor_ms: int = 200
    ceiling_ms: int = 1200
    # Without any prediction: vad-service is gone, or late.
    unjudged_ms: int = 700

    def wait_ms(self, probability: float) -> int:
        """The wait after the end of speech, given the probability that the turn is over."""
        doubt = 1 - min(max(probability, 0.0), 1.0)
        return round(self.floor_ms + (self.ceiling_ms - self.floor_ms) * doubt * doubt)
