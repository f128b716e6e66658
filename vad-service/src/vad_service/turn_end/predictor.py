"""The turn-end predictor protocol, and the predictor that uses the length of the silence alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vad_service.events import PredictorOpinion
from vad_service.settings import VadSettings


@dataclass(frozen=True, slots=True)
class PartialTranscript:
    """The text recognised so far, up to `end_ms` on the audio clock."""

    text: str
    end_ms: int
    # ISO 639-1; empty for the stream's language.
    language: str = ""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Probability that the turn is over, 0 to 1, and the opinions of the predictor's parts, if it has any."""

    probability: float
    opinions: tuple[PredictorOpinion, ...] = ()


@dataclass(frozen=True, slots=True)
class Pause:
    """A silence after speech: the input of a turn-end prediction."""

    at_ms: int
    silence_ms: int
    # The latest audio, with the silence at its end: 16 kHz float32 in [-1, 1), shape [n]. No longer than the
    # predictor's `audio_ms`; shorter early in a session.
    audio: NDArray[np.float32]
    transcript: PartialTranscript | None
    # ISO 639-1; empty when unknown.
    language: str
    # Speech in this turn before the pause, shorter pauses excluded, in milliseconds; None when unknown.
    speech_ms: int | None = None
    # The previous prediction for this pause, if only the transcript has changed since.
    earlier_prediction: Prediction | None = None


class TurnEndPredictor(Protocol):
    """Predicts for the pauses of all microphones, one at a time. Blocking; runs on a thread of its own."""

    name: str
    # How much audio it needs, in milliseconds; 0 for none.
    audio_ms: int

    def load(self) -> None:
        """Load and warm up the predictor. Raises `AnchorError` on failure."""
        ...

    def predict(self, pause: Pause) -> Prediction:
        """Return the probability that the turn is over."""
        ...


@dataclass(frozen=True, slots=True)
class QuickPrediction:
    """A prediction made without audio; `is_sufficient` when it needs no full prediction."""

    prediction: Prediction
    is_sufficient: bool


@runtime_checkable
class QuickPredictor(TurnEndPredictor, Protocol):
    """A predictor that can also predict without the audio, before the full prediction."""

    def predict_quickly(self, pause: Pause) -> QuickPrediction:
        """Predict on the event loop, in well under a millisecond; `pause.audio` is empty."""
        ...


# Predictors by the name used in the `turn_end_predictor` setting.
PREDICTORS: Mapping[str, str] = {
    "pause": "vad_service.turn_end.predictor:PausePredictor",
    "smart-turn": "vad_service.turn_end.predictors.smart_turn:SmartTurn",
    "text": "vad_service.turn_end.predictors.text:TextPredictor",
    "smart-turn+text": "vad_service.turn_end.predictors.combined:SmartTurnAndText",
}


class PausePredictor:
    """Returns the same probability for every pause, so that the orchestrator's delays alone end the turn."""

    name = "pause"
    audio_ms = 0

    def __init__(self, settings: VadSettings) -> None:
        self._probability = settings.pause_probability

    def load(self) -> None:
        """Nothing to load."""

    def predict(self, pause: Pause) -> Prediction:
        del pause
        return Prediction(self._probability)
