"""Whether a pause ends the turn: the seam for those who judge, and the simplest of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vad_service.settings import VadSettings
from vad_service.speech.events import Opinion


@dataclass(frozen=True, slots=True)
class PartialTranscript:
    """What has been recognised so far, up to `end_ms` on the audio clock."""

    text: str
    end_ms: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """The probability that the turn is over, 0 to 1, and what the parts of the predictor thought, if it has any."""

    probability: float
    opinions: tuple[Opinion, ...] = ()


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
    # How much was said before the pause, shorter pauses left out, in milliseconds; None when not known.
    speech_ms: int | None = None
    # What was made of this same pause just before, when only the transcript has changed since.
    earlier: Judgement | None = None


class TurnEndPredictor(Protocol):
    """Judges pauses for all microphones, one at a time. Blocking; runs on a thread of its own."""

    name: str
    # How much audio it wants to hear, in milliseconds; 0 for none.
    audio_ms: int

    def load(self) -> None:
        """Get ready to judge, warmed up. Raises `AnchorError` when that cannot be."""
        ...

    def predict(self, pause: Pause) -> Judgement:
        """How likely the turn is over."""
        ...


@dataclass(frozen=True, slots=True)
class Glance:
    """What can be said of a pause at once, and whether that is enough."""

    judgement: Judgement
    is_enough: bool


@runtime_checkable
class GlancingPredictor(TurnEndPredictor, Protocol):
    """One that knows something at once, before it has listened."""

    def glance(self, pause: Pause) -> Glance:
        """What can be said on the event loop, in well under a millisecond; `pause` comes without its audio."""
        ...


PREDICTORS = {
    "pause": "vad_service.turn_end.predictor:PauseRule",
    "smart-turn": "vad_service.turn_end.predictors.smart_turn:SmartTurn",
    "text": "vad_service.turn_end.predictors.text:TextRule",
    "smart-turn+text": "vad_service.turn_end.predictors.combined:SmartTurnAndText",
}


class PauseRule:
    """Knows nothing but the length of the silence, so it always gives the same modest answer."""

    name = "pause"
    audio_ms = 0

    def __init__(self, settings: VadSettings) -> None:
        self._probability = settings.pause_probability

    def load(self) -> None:
        """Nothing to load."""

    def predict(self, pause: Pause) -> Judgement:
        del pause
        return Judgement(self._probability)
