"""Fixtures: synthetic speech with known edges, and loaded models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from service_kit.audio import to_pcm
from vad_service.engines.energy import EnergyVad
from vad_service.engines.silero import SileroVad
from vad_service.settings import VadSettings
from vad_service.turn_end.predictors.combined import SmartTurnAndText
from vad_service.turn_end.predictors.smart_turn import SmartTurn

pytest_plugins = ["service_kit.testing.plugin"]

ROOT = Path(__file__).parents[2]
RATE_HZ = 16_000
# First three formants of five vowels, in hertz.
VOWELS_HZ = {
    "a": (730, 1090, 2440),
    "i": (270, 2290, 3010),
    "u": (300, 870, 2240),
    "e": (530, 1840, 2480),
    "o": (570, 840, 2410),
}


def _resonate(source: np.ndarray, formant_hz: float, width_hz: float) -> np.ndarray:
    radius = np.exp(-np.pi * width_hz / RATE_HZ)
    first, second = 2 * radius * np.cos(2 * np.pi * formant_hz / RATE_HZ), -radius * radius
    out = np.zeros_like(source)
    before, last = 0.0, 0.0
    for index, value in enumerate(source):
        before, last = last, value + first * last + second * before
        out[index] = last
    return out


def vowels(spoken: str, each_ms: int = 180) -> np.ndarray:
    """Synthesise vowels at 130 Hz, a pulse train through formants; Silero takes it for speech."""
    times = np.arange(RATE_HZ * each_ms // 1000) / RATE_HZ
    phase, parts = 0.0, []
    for index, vowel in enumerate(spoken):
        cycles = phase + np.cumsum((130 - 4 * index + 6 * np.sin(8 * np.pi * times)) / RATE_HZ)
        pulses = np.diff(np.floor(cycles), prepend=np.floor(phase))
        phase = cycles[-1]
        formants = zip(VOWELS_HZ[vowel], (80, 90, 120), strict=True)
        voice = sum(_resonate(pulses, hz, width) / (nth + 1) for nth, (hz, width) in enumerate(formants))
        parts.append(voice * np.hanning(len(times)) ** 0.3)
    voice = np.concatenate(parts)
    return (0.4 * voice / np.abs(voice).max()).astype(np.float32)


def silence(ms: int) -> np.ndarray:
    """Digital silence, shape [16 * ms]."""
    return np.zeros(RATE_HZ * ms // 1000, np.float32)


@pytest.fixture(scope="session")
def utterance() -> bytes:
    """1 s of silence, 0.9 s of speech, 1 s of silence."""
    return to_pcm(np.concatenate([silence(1000), vowels("aiueo"), silence(1000)]))


@pytest.fixture
def settings() -> VadSettings:
    """Default settings, with the models of this checkout."""
    return VadSettings(models_dir=ROOT / "models", models_lock=ROOT / "models.lock")


@pytest.fixture
def energy(settings: VadSettings) -> EnergyVad:
    """The energy model, which needs no file."""
    return EnergyVad(settings)


@pytest.fixture
def silero(settings: VadSettings) -> SileroVad:
    """The real Silero model, loaded."""
    model = SileroVad(settings)
    model.load()
    return model


@pytest.fixture
def smart_turn(settings: VadSettings) -> SmartTurn:
    """The real Smart Turn model, loaded."""
    predictor = SmartTurn(settings)
    predictor.load()
    return predictor


@pytest.fixture
def combined(settings: VadSettings) -> SmartTurnAndText:
    """The combined predictor with the real model and the word lists, loaded."""
    predictor = SmartTurnAndText(settings)
    predictor.load()
    return predictor
