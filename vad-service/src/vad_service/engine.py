"""What a speech model is: something that says how speech-like a frame is, given what it heard before."""

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


class Memory(Protocol):
    """What a model keeps of one microphone between frames."""

    def forget(self) -> None:
        """Begin anew, as after a silence nobody recorded."""
        ...


@dataclass(frozen=True, slots=True)
class Hearing:
    """One frame, and the memory of the microphone it came from."""

    memory: Memory
    frame: Frame


class SpeechModel(Protocol):
    """A model shared by all microphones. Blocking; a call should take no more than a few milliseconds."""

    info: EngineInfo

    def load(self) -> None:
        """Get ready to judge, warmed up. Raises `AnchorError` when that cannot be."""
        ...

    def open(self) -> Memory:
        """A fresh memory for one microphone."""
        ...

    def judge(self, batch: Sequence[Hearing]) -> list[float]:
        """Probability of speech in each frame; its memory moves on. No memory may occur twice in a batch."""
        ...
