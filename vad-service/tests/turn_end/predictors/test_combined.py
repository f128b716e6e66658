"""How it was said and what was said, weighed against each other."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from vad_service.speech.events import Opinion
from vad_service.turn_end.predictor import Judgement, PartialTranscript, Pause
from vad_service.turn_end.predictors.combined import SmartTurnAndText, Weights

HANGING, ANSWER, NOTHING = "what is the", "no thank you", "turn on the lamp"


@pytest.fixture
def weigh(settings):
    """The combination where the voice has been heard already, so that no model is needed."""
    plain = SmartTurnAndText(settings)

    def weighed(voice: float, text: str | None, speech_ms: int | None = 2000, end_ms: int = 1000, by=plain) -> float:
        transcript = None if text is None else PartialTranscript(text, end_ms)
        earlier = Judgement(0.5, (Opinion("smart-turn", voice),))
        return by.predict(Pause(1000, 200, np.empty(0, np.float32), transcript, "en", speech_ms, earlier)).probability

    return weighed


@pytest.mark.parametrize("voice", [0.0, 0.02, 0.3, 0.5, 0.7, 0.98, 1.0])
def test_words_pull_both_ways_and_silence_about_them_changes_nothing(weigh, voice: float):
    alone = weigh(voice, None)
    assert weigh(voice, NOTHING) == weigh(voice, HANGING, end_ms=0) == alone
    assert weigh(voice, HANGING) < alone < weigh(voice, ANSWER)
    assert 0 < weigh(voice, HANGING) < weigh(voice, ANSWER) < 1


def test_a_hanging_word_outweighs_the_surest_voice(weigh):
    assert weigh(0.99, HANGING) < 0.2
    assert weigh(0.99, "so I want to um") < 0.4


def test_a_complete_answer_outweighs_a_voice_in_doubt(weigh):
    assert weigh(0.1, ANSWER) > 0.7


@pytest.mark.parametrize("voice", [0.02, 0.98])
def test_after_a_word_or_two_the_voice_says_little(weigh, voice: float):
    unheard = 1 / (1 + math.exp(-Weights().prior))
    said = [abs(weigh(voice, None, speech_ms) - unheard) for speech_ms in (0, 200, 500, 1000, 5000)]
    assert said[0] == pytest.approx(0)
    assert said == sorted(said)
    assert said[3] == said[4] == abs(weigh(voice, None, None) - unheard)


def test_it_is_the_sum_of_the_log_odds(weigh, settings):
    by = SmartTurnAndText(settings, Weights(prior=-1.0, audio=0.5, text=2.0, full_voice_ms=2000))
    log_odds = -1.0 + 0.5 * 0.5 * math.log(0.8 / 0.2) + 2.0 * math.log(0.9 / 0.1)
    assert weigh(0.8, ANSWER, 1000, by=by) == pytest.approx(1 / (1 + math.exp(-log_odds)))


def test_whoever_stays_silent_says_something_by_that(settings):
    combined = SmartTurnAndText(settings)
    earlier = Judgement(0.5, (Opinion("smart-turn", 0.5),))

    def judged(silence_ms: int) -> float:
        return combined.predict(Pause(1000, silence_ms, np.empty(0, np.float32), None, "en", 2000, earlier)).probability

    assert judged(200) < judged(500) < judged(900) < 0.9
    log_odds = Weights().prior + Weights().silence_per_s * 0.7
    assert judged(900) == pytest.approx(1 / (1 + math.exp(-log_odds)))


def test_a_voice_that_costs_too_much_is_not_listened_to(settings):
    combined = SmartTurnAndText(settings.model_copy(update={"turn_end_share": 1e-9}))
    combined.load()
    asked = Pause(1000, 200, np.zeros(16000, np.float32), PartialTranscript(ANSWER, 1000), "en", 2000)
    heard = [len(combined.predict(asked).opinions) for _ in range(60)]
    assert heard[0] == 2
    assert heard[-1] == 1, "the text alone"
    unheard = combined.predict(replace(asked, transcript=None))
    assert unheard.opinions == ()
    assert unheard.probability == pytest.approx(settings.pause_probability)


def test_it_says_what_each_part_thought(combined):
    audio = (0.1 * np.random.default_rng(3).standard_normal(16_000)).astype(np.float32)
    transcript = PartialTranscript(HANGING, 1000)
    heard = combined.predict(Pause(1000, 200, audio, transcript, "en", 800))
    assert [opinion.name for opinion in heard.opinions] == ["smart-turn", "text"]
    # Heard again, the same pause gives the same without listening.
    again = combined.predict(Pause(1000, 200, np.empty(0, np.float32), transcript, "en", 800, heard))
    assert again == heard
    alone = combined.predict(Pause(1000, 200, audio, None, "en", 800, heard))
    assert alone.opinions == heard.opinions[:1]
