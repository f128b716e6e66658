"""The real Smart Turn, on recordings of people where there are any."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from service_kit.audio import to_float
from service_kit.errors import EngineFailed
from vad_service.turn_end.predictor import Judgement, Pause
from vad_service.turn_end.predictors.smart_turn import SmartTurn

RATE_HZ = 16_000
RECORDINGS = Path(__file__).parents[5] / "shared" / "speech"
TAILS_MS = (200, 250, 300)
# Where people are done, and where they are in the middle of a word, in milliseconds.
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
    """A quiet room."""
    return (level * np.random.default_rng(7).standard_normal(ms * RATE_HZ // 1000)).astype(np.float32)


def pause(audio: np.ndarray, earlier: Judgement | None = None) -> Pause:
    return Pause(1000, 200, audio, None, "", None, earlier)


def test_only_the_last_eight_seconds_count(smart_turn):
    audio = noise(9000, 0.1)
    assert smart_turn.probability(audio) == smart_turn.probability(audio[-8 * RATE_HZ :])
    assert smart_turn.audio_ms == 8000


def test_before_a_short_turn_there_was_silence(smart_turn):
    audio = noise(1000, 0.1)
    padded = np.concatenate([np.zeros(7 * RATE_HZ, np.float32), audio])
    assert smart_turn.probability(audio) == smart_turn.probability(padded)
    assert 0 <= smart_turn.probability(np.empty(0, np.float32)) <= 1


def test_it_hears_a_pause_once(smart_turn, settings):
    judgement = smart_turn.predict(pause(noise(1000, 0.1)))
    assert 0 <= judgement.probability <= 1
    # One without a model cannot listen; it need not.
    assert SmartTurn(settings).predict(pause(noise(500), judgement)) == judgement


@pytest.mark.parametrize(("silence_ms", "added_ms"), [(104, 96), (200, 0), (928, 0)])
def test_a_silence_shorter_than_it_knows_is_filled_up(smart_turn, silence_ms: int, added_ms: int):
    audio = noise(1000, 0.1)
    heard = smart_turn.predict(Pause(1000, silence_ms, audio, None, "")).probability
    assert heard == smart_turn.probability(np.concatenate([audio, np.zeros(added_ms * 16, np.float32)]))


def test_a_missing_model_is_said_with_what_to_do(settings, tmp_path):
    with pytest.raises(EngineFailed, match=r"smart-turn-v3\.2\.onnx; run `anchor models`"):
        SmartTurn(settings.model_copy(update={"models_dir": tmp_path})).load()


@with_people
@pytest.mark.parametrize("tail_ms", TAILS_MS)
def test_a_finished_sentence_and_one_broken_off_are_told_apart(smart_turn, tail_ms: int):
    """On these clips; on others of read speech it often takes a phrase's end for the turn's."""
    done, broken_off = [], []
    for name, (end_ms, middle_ms) in CLIPS.items():
        audio = recording(name)
        done.append(smart_turn.probability(np.concatenate([audio[: end_ms * 16], noise(tail_ms)])))
        broken_off.append(smart_turn.probability(np.concatenate([audio[: middle_ms * 16], noise(tail_ms)])))
    assert min(done) > 0.8
    assert max(broken_off) < 0.5
