"""Loudness above the noise floor, for work without a model file: it takes any sound for speech."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
from service_kit.audio import MICROPHONE
from service_kit.engines.info import EngineInfo

from vad_service.engine import Frame, Hearing
from vad_service.settings import VadSettings

# Levels are RMS in dB of full scale. Quieter than this is silence whatever the floor.
_QUIETEST_DB = -60.0
# Above the floor by this much, a frame is as likely speech as not; the slope turns 6 dB into about 0.1 or 0.9.
_MARGIN_DB = 12.0
_SLOPE_DB = 2.7
# The floor drops at once and rises slowly, in dB a frame, so that speech does not become the floor.
_FLOOR_RISE_DB = 0.05


class EnergyMemory:
    """The noise floor of one microphone, in dB of full scale."""

    __slots__ = ("floor_db",)

    floor_db: float

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.floor_db = _QUIETEST_DB


class Energy:
    """Speech is what stands out from the noise floor."""

    def __init__(self, settings: VadSettings) -> None:
        del settings
        self.info = EngineInfo("energy", "none", "1", (), MICROPHONE.rate_hz, {"limit": "any sound passes for speech"})

    def load(self) -> None:
        """Nothing to load."""

    def open(self) -> EnergyMemory:
        return EnergyMemory()

    def judge(self, batch: Sequence[Hearing]) -> list[float]:
        return [_judge(cast(EnergyMemory, hearing.memory), hearing.frame) for hearing in batch]


def _judge(memory: EnergyMemory, frame: Frame) -> float:
    level_db = 20 * math.log10(math.sqrt(float(np.mean(np.square(frame)))) + 1e-9)
    memory.floor_db = max(_QUIETEST_DB, min(level_db, memory.floor_db + _FLOOR_RISE_DB))
    return 1 / (1 + math.exp(-(level_db - memory.floor_db - _MARGIN_DB) / _SLOPE_DB))
