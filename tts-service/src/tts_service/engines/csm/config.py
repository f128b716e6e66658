"""Configuration of the engine `csm`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tts_service.engines.model_folder import pulled_folder
from tts_service.settings import TtsSettings

# Its name in models.lock.
_MODEL = "csm"


@dataclass(frozen=True, slots=True)
class CsmConfig:
    """The settings of the engine; `TtsSettings` explains each."""

    model: Path
    models_lock: Path
    voices: Path | None
    device: str
    temperature: float
    seed: int

    @classmethod
    def from_settings(cls, settings: TtsSettings) -> CsmConfig:
        """Take the configuration from the settings. Raises `InvalidRequest` when there is no model."""
        return cls(
            settings.csm_model or pulled_folder(settings.models_dir, "TTS_CSM_MODEL", _MODEL),
            settings.models_lock,
            settings.csm_voices,
            settings.csm_device,
            settings.csm_temperature,
            settings.csm_seed,
        )
