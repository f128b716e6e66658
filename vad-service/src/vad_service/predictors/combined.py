"""How it was said and what was said, together.

Each part gives a probability; their log-odds are weighed and added:

    logit p = audio * logit(p_audio) + text * logit(p_text)

A part without an opinion adds nothing. The voice counts for less than it claims: it is seldom unsure, and wrong more
often than it is unsure; and for less still after a word or two, too little to have a melody.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vad_service.events import Opinion
from vad_service.predictors.smart_turn import SmartTurn
from vad_service.predictors.text import TextRule
from vad_service.settings import VadSettings
from vad_service.turn_end import Judgement, Pause

# No part is believed to be surer than this, nor less sure than one minus it.
_SUREST = 0.99


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part's log-odds count."""

    audio: float = 0.6
    text: float = 1.2
    # Up to so much speech, the weight of the voice grows with it, in milliseconds.
    full_voice_ms: int = 1000


class SmartTurnAndText:
    """Smart Turn, corrected by the transcript where there is one."""

    name = "smart-turn+text"
    audio_ms = SmartTurn.audio_ms

    def __init__(self, settings: VadSettings, weights: Weights | None = None) -> None:
        self._voice = SmartTurn(settings)
        self._text = TextRule(settings)
        self._weights = weights or Weights()

    def load(self) -> None:
        self._voice.load()
        self._text.load()

    def predict(self, pause: Pause) -> Judgement:
        voice, text = self._voice.opinion(pause), self._text.opinion(pause)
        log_odds = self._voice_weight(pause.speech_ms) * _logit(voice.probability)
        if text:
            log_odds += self._weights.text * _logit(text.probability)
        opinions: tuple[Opinion, ...] = (voice, text) if text else (voice,)
        return Judgement(1 / (1 + math.exp(-log_odds)), opinions)

    def _voice_weight(self, speech_ms: int | None) -> float:
        if speech_ms is None:
            return self._weights.audio
        return self._weights.audio * min(1.0, speech_ms / self._weights.full_voice_ms)


def _logit(probability: float) -> float:
    bounded = min(max(probability, 1 - _SUREST), _SUREST)
    return math.log(bounded / (1 - bounded))
