"""Whether a pause ends the turn: the seam for those who judge, and the simplest of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vad_service.engine import FRAME_MS, FRAME_SAMPLES, Frame
from vad_service.settings import VadSettings


@dataclass(frozen=True, slots=True)
class PartialTranscript:
    """What has been recognised so far, up to `end_ms` on the audio clock."""

    text: str
    end_ms: int


@dataclass(frozen=True, slots=True)
class Pause:
    """A silence to be judged, and what is known of the speech before it."""

    at_ms: int
    silence_ms: int
    # The latest audio with the silence at its end, 16 kHz float32 in [-1, 1), shape [n]; no longer than the
    # predictor's `audio_ms`, shorter early in a session.
    audio: NDArray[np.float32]
    transcript: PartialTranscript | None
    # ISO 639-1; empty when not known.
    language: str


class TurnEndPredictor(Protocol):
    """Judges pauses for all microphones, one at a time. Blocking; runs on a thread of its own."""

    name: str
    # How much audio it wants to hear, in milliseconds; 0 for none.
    audio_ms: int

    def load(self) -> None:
        """Get ready to judge, warmed up. Raises `AnchorError` when that cannot be."""
        ...

    def predict(self, pause: Pause) -> float:
        """Probability that the turn is over, 0 to 1."""
        ...


PREDICTORS = {
    "pause": "vad_service.turn_end:PauseRule",
}


class PauseRule:
    """Knows nothing but the length of the silence, so it always gives the same modest answer."""

    name = "pause"
    audio_ms = 0

    def __init__(self, settings: VadSettings) -> None:
        self._probability = settings.pause_probability

    def load(self) -> None:
        """Nothing to load."""

    def predict(self, pause: Pause) -> float:
        del pause
        return self._probability


class RecentAudio:
    """The latest `length_ms` of one microphone; older audio is let go."""

    def __init__(self, length_ms: int) -> None:
        self._frames: deque[Frame] = deque(maxlen=length_ms // FRAME_MS)

    def append(self, frame: Frame, missing_ms: int) -> None:
        """Add a frame, and before it the silence that stands for audio that was left out."""
        room = self._frames.maxlen or 0
        silence = np.zeros(FRAME_SAMPLES, np.float32)
        self._frames.extend(silence for _ in range(min(missing_ms // FRAME_MS, room)))
        self._frames.append(frame)

    def samples(self) -> NDArray[np.float32]:
        """All of it, shape [n]."""
        return np.concatenate(self._frames) if self._frames else np.empty(0, np.float32)
