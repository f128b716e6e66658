"""The combination of the audio and the text prediction."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from vad_service.events import PredictorOpinion
from vad_service.turn_end.predictor import PartialTranscript, Pause, Prediction
from vad_service.turn_end.predictors.combined import SmartTurnAndText, Weights

HANGING, ANSWER, NOTHING = "what is the", "no thank you", "turn on the lamp"


@pytest.fixture
def combine(settings):
    """Combine a given audio probability with a transcript. The audio counts as predicted earlier: no model is used."""
    default = SmartTurnAndText(settings)

    def combined(audio: float, text: str | None, speech_ms: int | None = 2000, end_ms: int = 1000, by=default) -> float:
        transcript = None if text is None else PartialTranscript(text, end_ms)
        earlier = Prediction(0.5, (PredictorOpinion("smart-turn", audio),))
        return by.predict(Pause(1000, 200, np.empty(0, np.float32), transcript, "en", speech_ms, earlier)).probability

    return combined


@pytest.mark.parametrize("audio", [0.0, 0.02, 0.3, 0.5, 0.7, 0.98, 1.0])
def test_text_moves_the_probability_and_its_absence_does_not(combine, audio: float):
    alone = combine(audio, None)
    assert combine(audio, NOTHING) == combine(audio, HANGING, end_ms=0) == alone
    assert combine(audio, HANGING) < alone < combine(audio, ANSWER)
    assert 0 < combine(audio, HANGING) < combine(audio, ANSWER) < 1


def test_a_hanging_word_outweighs_a_confident_audio_prediction(combine):
    assert combine(0.99, HANGING) < 0.2
    assert combine(0.99, "so I want to um") < 0.4


def test_a_complete_answer_outweighs_a_low_audio_prediction(combine):
    assert combine(0.1, ANSWER) > 0.7


@pytest.mark.parametrize("audio", [0.02, 0.98])
def test_the_audio_weight_grows_with_the_length_of_the_speech(combine, audio: float):
    prior = 1 / (1 + math.exp(-Weights().prior))
    effects = [abs(combine(audio, None, speech_ms) - prior) for speech_ms in (0, 200, 500, 1000, 5000)]
    assert effects[0] == pytest.approx(0)
    assert effects == sorted(effects)
    assert effects[3] == effects[4] == abs(combine(audio, None, None) - prior)


def test_the_combination_is_the_sum_of_the_log_odds(combine, settings):
    by = SmartTurnAndText(settings, Weights(prior=-1.0, audio=0.5, text=2.0, full_audio_ms=2000))
    log_odds = -1.0 + 0.5 * 0.5 * math.log(0.8 / 0.2) + 2.0 * math.log(0.9 / 0.1)
    assert combine(0.8, ANSWER, 1000, by=by) == pytest.approx(1 / (1 + math.exp(-log_odds)))


def test_a_longer_silence_raises_the_probability(settings):
    predictor = SmartTurnAndText(settings)
    earlier = Prediction(0.5, (PredictorOpinion("smart-turn", 0.5),))

    def probability(silence_ms: int) -> float:
        pause = Pause(1000, silence_ms, np.empty(0, np.float32), None, "en", 2000, earlier)
        return predictor.predict(pause).probability

    assert probability(200) < probability(500) < probability(900) < 0.9
    log_odds = Weights().prior + Weights().silence_per_s * 0.7
    assert probability(900) == pytest.approx(1 / (1 + math.exp(-log_odds)))


def test_audio_is_skipped_when_its_cpu_share_is_used_up(settings):
    predictor = SmartTurnAndText(settings.model_copy(update={"turn_end_share": 1e-9}))
    predictor.load()
    pause = Pause(1000, 200, np.zeros(16000, np.float32), PartialTranscript(ANSWER, 1000), "en", 2000)
    opinion_counts = [len(predictor.predict(pause).opinions) for _ in range(60)]
    assert opinion_counts[0] == 2
    assert opinion_counts[-1] == 1, "the text alone"
    without_opinions = predictor.predict(replace(pause, transcript=None))
    assert without_opinions.opinions == ()
    assert without_opinions.probability == pytest.approx(settings.pause_probability)


def test_a_prediction_holds_the_opinions_of_its_parts(combined):
    audio = (0.1 * np.random.default_rng(3).standard_normal(16_000)).astype(np.float32)
    transcript = PartialTranscript(HANGING, 1000)
    first = combined.predict(Pause(1000, 200, audio, transcript, "en", 800))
    assert [opinion.name for opinion in first.opinions] == ["smart-turn", "text"]
    # The earlier audio opinion is reused: the audio is empty here.
    again = combined.predict(Pause(1000, 200, np.empty(0, np.float32), transcript, "en", 800, first))
    assert again == first
    alone = combined.predict(Pause(1000, 200, audio, None, "en", 800, first))
    assert alone.opinions == first.opinions[:1]
