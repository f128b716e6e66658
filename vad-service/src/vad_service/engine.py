"""The speech model protocol: probability of speech per audio frame, with state per microphone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from service_kit.audio import MICROPHONE
from service_kit.engines.info import EngineInfo

# One frame, the length Silero was trained on.
FRAME_SAMPLES = 512
FRAME_MS = FRAME_SAMPLES * 1000 // MICROPHONE.rate_hz
SAMPLES_PER_MS = MICROPHONE.rate_hz // 1000

# float32 in [-1, 1), shape [FRAME_SAMPLES].
Frame = NDArray[np.float32]


class StreamState(Protocol):
    """A model's state for one microphone between frames."""

    def reset(self) -> None:
        """Return to the initial state, as after a gap in the audio."""
        ...


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """One frame, and the state of the microphone it came from."""

    state: StreamState
    frame: Frame


class SpeechModel(Protocol):
    """A model shared by all microphones. Blocking; a call should take no more than a few milliseconds."""

    info: EngineInfo

    def load(self) -> None:
        """Load and warm up the model. Raises `AnchorError` on failure."""
        ...

    def new_state(self) -> StreamState:
        """Return the initial state for one microphone."""
        ...

    def predict_batch(self, batch: Sequence[FrameRequest]) -> list[float]:
        """Return the probability of speech in each frame and advance its state.

        A state must not occur twice in a batch.
        """
        ...
