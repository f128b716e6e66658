"""Energy VAD: loudness above the noise floor, for use without a model file. Any sound passes for speech."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
from service_kit.audio import MICROPHONE
from service_kit.engines.info import EngineInfo

from vad_service.engine import Frame, FrameRequest
from vad_service.settings import VadSettings

# Levels are RMS in dB of full scale. The floor never falls below this level.
_MIN_FLOOR_DB = -60.0
# A frame this far above the floor has probability 0.5; the slope turns 6 dB more or less into about 0.9 or 0.1.
_MARGIN_DB = 12.0
_SLOPE_DB = 2.7
# Loudness cannot tell a gap within a word from silence, so that its silence is never sure.
_MIN_PROBABILITY = 0.1
# The floor drops immediately and rises slowly, in dB per frame, so that speech does not become the floor.
_FLOOR_RISE_DB = 0.05


class EnergyState:
    """The noise floor of one microphone, in dB of full scale."""

    __slots__ = ("floor_db",)

    floor_db: float

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.floor_db = _MIN_FLOOR_DB


class EnergyVad:
    """Takes any sound above the noise floor for speech."""

    def __init__(self, settings: VadSettings) -> None:
        del settings
        self.info = EngineInfo("energy", "none", "1", (), MICROPHONE.rate_hz, {"limit": "any sound passes for speech"})

    def load(self) -> None:
        """Nothing to load."""

    def new_state(self) -> EnergyState:
        return EnergyState()

    def predict_batch(self, batch: Sequence[FrameRequest]) -> list[float]:
        return [_predict(cast(EnergyState, request.state), request.frame) for request in batch]


def _predict(state: EnergyState, frame: Frame) -> float:
    level_db = 20 * math.log10(math.sqrt(float(np.mean(np.square(frame)))) + 1e-9)
    state.floor_db = max(_MIN_FLOOR_DB, min(level_db, state.floor_db + _FLOOR_RISE_DB))
    return max(_MIN_PROBABILITY, 1 / (1 + math.exp(-(level_db - state.floor_db - _MARGIN_DB) / _SLOPE_DB)))
