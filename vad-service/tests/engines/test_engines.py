"""The speech models on speech, silence, noise and tones."""

from __future__ import annotations

import numpy as np
import pytest
from service_kit.audio import to_float
from service_kit.errors import EngineFailed
from vad_service.engine import FRAME_SAMPLES, FrameRequest
from vad_service.engines.silero import SileroVad
from vad_service.settings import VadSettings


def predict(model, samples: np.ndarray) -> list[float]:
    state = model.new_state()
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    return [model.predict_batch([FrameRequest(state, frame)])[0] for frame in frames]


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.05, 32_000).astype(np.float32)


@pytest.fixture
def tone() -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000)).astype(np.float32)


@pytest.mark.parametrize("model", ["silero", "energy"])
def test_a_voice_is_speech_and_silence_is_not(model, utterance, request):
    probabilities = predict(request.getfixturevalue(model), to_float(utterance))
    assert max(probabilities[:30]) < 0.2
    assert np.mean(probabilities[33:50]) > 0.8
    assert max(probabilities[-20:]) < 0.2


def test_silero_does_not_take_noise_or_a_tone_for_speech(silero, noise, tone):
    assert max(predict(silero, noise)) < 0.2
    assert max(predict(silero, tone)) < 0.2


def test_the_energy_floor_adapts_to_steady_noise(energy, noise):
    probabilities = predict(energy, np.tile(noise, 10))
    assert probabilities[0] > 0.8
    assert probabilities[-1] < 0.2


def test_a_modified_model_file_is_refused(settings, tmp_path):
    (tmp_path / "silero_vad.onnx").write_bytes((settings.models_dir / "silero_vad.onnx").read_bytes()[:-1] + b"!")
    with pytest.raises(EngineFailed, match=r"silero_vad\.onnx") as refused:
        SileroVad(VadSettings(models_dir=tmp_path, models_lock=settings.models_lock)).load()
    assert refused.value.code == "models.mismatch"
