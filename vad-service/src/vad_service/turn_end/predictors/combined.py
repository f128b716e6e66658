"""Combines the audio and the text prediction.

Each part gives a probability; their weighted log-odds are added:

    logit p = prior + audio * logit(p_audio) + text * logit(p_text) + silence_per_s * seconds

A part without an opinion adds nothing. The prior is below even odds: speakers pause more often than they end a turn.
The audio prediction is weighted below 1: it is seldom unsure, and wrong more often than it is unsure. Its weight is
lower still after a word or two, which have too little intonation. Silence beyond the first prediction raises the
probability.

The audio prediction takes a tenth of a second of CPU time. So the text is predicted first, and if it is decisive, the
audio is not used. Otherwise `pause_probability` replaces the audio prediction until that has been made, or for good
when the CPU share of the audio model is used up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vad_service.events import PredictorOpinion
from vad_service.metrics import AUDIO_PREDICTIONS_SKIPPED
from vad_service.settings import VadSettings
from vad_service.turn_end.cpu_budget import CpuBudget
from vad_service.turn_end.predictor import Pause, Prediction, QuickPrediction
from vad_service.turn_end.predictors.smart_turn import SmartTurn
from vad_service.turn_end.predictors.text import TextPredictor

# Probabilities of the parts are clipped to [1 - this, this].
_MAX_PROBABILITY = 0.99


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the log-odds. Chosen on recordings of people, see `docs/evaluation.md`."""

    # Log-odds of a pause without any opinion.
    prior: float = -0.5
    audio: float = 0.4
    text: float = 1.2
    # For each second of silence beyond that of the first prediction.
    silence_per_s: float = 1.0
    # Speech at which the audio has its full weight, in milliseconds; with less, the weight is proportional.
    full_audio_ms: int = 1000
    # A text probability of at least this, or at most one minus it, needs no audio prediction.
    decisive_text: float = 0.9


class SmartTurnAndText:
    """Smart Turn on the audio, combined with the text prediction where there is a transcript."""

    name = "smart-turn+text"
    audio_ms = SmartTurn.audio_ms

    def __init__(self, settings: VadSettings, weights: Weights | None = None) -> None:
        self._audio = SmartTurn(settings)
        self._text = TextPredictor(settings)
        self._weights = weights or Weights()
        self._first_silence_ms = settings.turn_end_silence_ms
        self._no_audio_probability = settings.pause_probability
        self._cpu_budget = CpuBudget(settings.turn_end_share)

    def load(self) -> None:
        self._audio.load()
        self._text.load()

    def predict_quickly(self, pause: Pause) -> QuickPrediction:
        """Predict from the text, and from the audio's opinion if it was made earlier in this pause."""
        audio, text = self._audio.earlier_opinion(pause), self._text.opinion(pause)
        decisive = self._weights.decisive_text
        is_decisive = text is not None and not 1 - decisive < text.probability < decisive
        return QuickPrediction(self._combine(pause, audio, text), audio is not None or is_decisive)

    def predict(self, pause: Pause) -> Prediction:
        audio = self._cpu_budget.run_if_affordable(lambda: self._audio.opinion(pause))
        if audio is None:
            AUDIO_PREDICTIONS_SKIPPED.inc()
        return self._combine(pause, audio, self._text.opinion(pause))

    def _combine(self, pause: Pause, audio: PredictorOpinion | None, text: PredictorOpinion | None) -> Prediction:
        weights = self._weights
        if audio is None:
            log_odds = _logit(self._no_audio_probability)
        else:
            log_odds = weights.prior + self._audio_weight(pause.speech_ms) * _logit(audio.probability)
        if text:
            log_odds += weights.text * _logit(text.probability)
        log_odds += weights.silence_per_s * max(0, pause.silence_ms - self._first_silence_ms) / 1000
        return Prediction(1 / (1 + math.exp(-log_odds)), tuple(opinion for opinion in (audio, text) if opinion))

    def _audio_weight(self, speech_ms: int | None) -> float:
        if speech_ms is None:
            return self._weights.audio
        return self._weights.audio * min(1.0, speech_ms / self._weights.full_audio_ms)


def _logit(probability: float) -> float:
    clipped = min(max(probability, 1 - _MAX_PROBABILITY), _MAX_PROBABILITY)
    return math.log(clipped / (1 - clipped))
