"""Configuration of the engine `csm`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from service_kit.errors import InvalidRequest

from tts_service.settings import TtsSettings


@dataclass(frozen=True, slots=True)
class CsmConfig:
    """The settings of the engine; `TtsSettings` explains each."""

    model: Path
    voices: Path | None
    device: str
    temperature: float
    seed: int

    @classmethod
    def from_settings(cls, settings: TtsSettings) -> CsmConfig:
        """Take the configuration from the settings. Raises `InvalidRequest` when they name no model."""
        if settings.csm_model is None:
            raise InvalidRequest("tts.model_missing", "TTS_CSM_MODEL must name a folder")
        return cls(
            settings.csm_model,
            settings.csm_voices,
            settings.csm_device,
            settings.csm_temperature,
            settings.csm_seed,
        )
