"""The log-mel features against those of `WhisperFeatureExtractor`.

log_mel.npz holds what transformers 5.24.0 computes (`WhisperFeatureExtractor(feature_size=80 or 128)`, no padding) for
samples 8000 to 16000 of ferry.wav.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from service_kit.audio import to_float
from stt_service.engines.whisper.features import log_mel, mel_filters


@pytest.fixture
def samples(ferry: bytes) -> np.ndarray:
    return to_float(ferry)[8000:16000]


@pytest.mark.parametrize("mels", [80, 128])
def test_the_features_are_those_of_the_reference(samples: np.ndarray, mels: int) -> None:
    with np.load(Path(__file__).parent / "log_mel.npz") as reference:
        expected = reference[f"mels_{mels}"]
    features = log_mel(samples, mels, len(samples))
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, atol=1e-5)


@pytest.mark.parametrize("length", [8000, 7999, 8001, 160, 1])
def test_padding_is_as_silence_in_the_clip(samples: np.ndarray, length: int) -> None:
    clip = np.resize(samples, length)
    padded = np.concatenate([clip, np.zeros(16_000 - length, np.float32)])
    np.testing.assert_allclose(log_mel(clip, 80, 16_000), log_mel(padded, 80, 16_000), atol=1e-5)


def test_each_filter_has_the_area_of_one() -> None:
    # Narrow filters are sampled coarsely: 40 Hz a bin.
    np.testing.assert_allclose(mel_filters(80).sum(axis=1) * 40, 1, atol=0.1)
