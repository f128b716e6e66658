"""The real Smart Turn model; on recordings of people where they are available."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from service_kit.audio import to_float
from service_kit.errors import EngineFailed
from vad_service.turn_end.predictor import Pause, Prediction
from vad_service.turn_end.predictors.smart_turn import SmartTurn

RATE_HZ = 16_000
RECORDINGS = Path(__file__).parents[5] / "shared" / "speech"
TAILS_MS = (200, 250, 300)
# Where the sentence ends, and a position in the middle of a word, in milliseconds.
CLIPS = {
    "en-lj-0002": (1_850, 925),
    "en-dog-or-cat": (1_600, 800),
    "en-quilter": (5_504, 3_768),
}

with_people = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="no recordings of people beside this checkout (../shared/speech)"
)


def recording(name: str) -> np.ndarray:
    with wave.open(str(RECORDINGS / f"{name}.wav")) as file:
        return to_float(file.readframes(file.getnframes()))


def noise(ms: int, level: float = 1e-4) -> np.ndarray:
    """Noise of a quiet room, shape [16 * ms]."""
    return (level * np.random.default_rng(7).standard_normal(ms * RATE_HZ // 1000)).astype(np.float32)


def pause(audio: np.ndarray, earlier: Prediction | None = None) -> Pause:
    return Pause(1000, 200, audio, None, "", None, earlier)


def test_only_the_last_eight_seconds_are_used(smart_turn):
    audio = noise(9000, 0.1)
    assert smart_turn.probability(audio) == smart_turn.probability(audio[-8 * RATE_HZ :])
    assert smart_turn.audio_ms == 8000


def test_a_short_turn_is_padded_with_silence_before_it(smart_turn):
    audio = noise(1000, 0.1)
    padded = np.concatenate([np.zeros(7 * RATE_HZ, np.float32), audio])
    assert smart_turn.probability(audio) == smart_turn.probability(padded)
    assert 0 <= smart_turn.probability(np.empty(0, np.float32)) <= 1


def test_an_earlier_prediction_of_a_pause_is_reused(smart_turn, settings):
    prediction = smart_turn.predict(pause(noise(1000, 0.1)))
    assert 0 <= prediction.probability <= 1
    # Without a loaded model it could not predict again.
    assert SmartTurn(settings).predict(pause(noise(500), prediction)) == prediction


@pytest.mark.parametrize(("silence_ms", "added_ms"), [(104, 96), (200, 0), (928, 0)])
def test_a_silence_shorter_than_in_training_is_padded(smart_turn, silence_ms: int, added_ms: int):
    audio = noise(1000, 0.1)
    probability = smart_turn.predict(Pause(1000, silence_ms, audio, None, "")).probability
    assert probability == smart_turn.probability(np.concatenate([audio, np.zeros(added_ms * 16, np.float32)]))


def test_a_missing_model_names_the_command_that_fetches_it(settings, tmp_path):
    with pytest.raises(EngineFailed, match=r"smart-turn-v3\.2\.onnx; run `.*anchor models`"):
        SmartTurn(settings.model_copy(update={"models_dir": tmp_path})).load()


@with_people
@pytest.mark.parametrize("tail_ms", TAILS_MS)
def test_finished_sentences_score_above_those_cut_in_a_word(smart_turn, tail_ms: int):
    """Holds for these clips; on other read speech the model often takes a phrase's end for the turn's."""
    finished, broken_off = [], []
    for name, (end_ms, middle_ms) in CLIPS.items():
        audio = recording(name)
        finished.append(smart_turn.probability(np.concatenate([audio[: end_ms * 16], noise(tail_ms)])))
        broken_off.append(smart_turn.probability(np.concatenate([audio[: middle_ms * 16], noise(tail_ms)])))
    assert min(finished) > 0.8
    assert max(broken_off) < 0.5
