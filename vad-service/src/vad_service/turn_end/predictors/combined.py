"""How it was said and what was said, together.

Each part gives a probability; their log-odds are weighed and added:

    logit p = prior + audio * logit(p_audio) + text * logit(p_text) + silence_per_s * seconds

A part without an opinion adds nothing. Before anybody has one, a pause is rather not the end: people pause more often
than they stop. The voice counts for less than it claims: it is seldom unsure, and wrong more often than it is unsure;
and for less still after a word or two, too little to have a melody. Whoever stays silent after the first judgement says
something by that too.

Listening to the voice costs a tenth of a second of a processor. So the words are read first, and where they say it all,
that is it. Else the rule that knows nothing but the pause stands in for the voice until it has been listened to; with
many microphones for good, when the voice's share of the machine is used up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vad_service.metrics import VOICES_UNHEARD
from vad_service.settings import VadSettings
from vad_service.speech.events import Opinion
from vad_service.turn_end.cpu_budget import Thrift
from vad_service.turn_end.predictor import Glance, Judgement, Pause
from vad_service.turn_end.predictors.smart_turn import SmartTurn
from vad_service.turn_end.predictors.text import TextRule

# No part is believed to be surer than this, nor less sure than one minus it.
_SUREST = 0.99


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part's log-odds count. Chosen on recordings of people, see `docs/evaluation.md`."""

    # The log-odds of a pause of which nothing is known.
    prior: float = -0.5
    audio: float = 0.4
    text: float = 1.2
    # For each second of silence beyond that of the first judgement.
    silence_per_s: float = 1.0
    # Up to so much speech, the weight of the voice grows with it, in milliseconds.
    full_voice_ms: int = 1000
    # Words this sure, one way or the other, need no voice.
    sure_text: float = 0.9


class SmartTurnAndText:
    """Smart Turn, corrected by the transcript where there is one."""

    name = "smart-turn+text"
    audio_ms = SmartTurn.audio_ms

    def __init__(self, settings: VadSettings, weights: Weights | None = None) -> None:
        self._voice = SmartTurn(settings)
        self._text = TextRule(settings)
        self._weights = weights or Weights()
        self._first_silence_ms = settings.turn_end_silence_ms
        self._unheard = settings.pause_probability
        self._thrift = Thrift(settings.turn_end_share)

    def load(self) -> None:
        self._voice.load()
        self._text.load()

    def glance(self, pause: Pause) -> Glance:
        """By the words, and by the voice where it has been listened to in this pause."""
        voice, text = self._voice.earlier_opinion(pause), self._text.opinion(pause)
        sure = self._weights.sure_text
        is_enough = voice is not None or (text is not None and not 1 - sure < text.probability < sure)
        return Glance(self._weigh(pause, voice, text), is_enough)

    def predict(self, pause: Pause) -> Judgement:
        voice = self._thrift.afford(lambda: self._voice.opinion(pause))
        if voice is None:
            VOICES_UNHEARD.inc()
        return self._weigh(pause, voice, self._text.opinion(pause))

    def _weigh(self, pause: Pause, voice: Opinion | None, text: Opinion | None) -> Judgement:
        weights = self._weights
        if voice is None:
            log_odds = _logit(self._unheard)
        else:
            log_odds = weights.prior + self._voice_weight(pause.speech_ms) * _logit(voice.probability)
        if text:
            log_odds += weights.text * _logit(text.probability)
        log_odds += weights.silence_per_s * max(0, pause.silence_ms - self._first_silence_ms) / 1000
        return Judgement(1 / (1 + math.exp(-log_odds)), tuple(opinion for opinion in (voice, text) if opinion))

    def _voice_weight(self, speech_ms: int | None) -> float:
        if speech_ms is None:
            return self._weights.audio
        return self._weights.audio * min(1.0, speech_ms / self._weights.full_voice_ms)


def _logit(probability: float) -> float:
    bounded = min(max(probability, 1 - _SUREST), _SUREST)
    return math.log(bounded / (1 - bounded))
