"""Which higgs speaks, where and how."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from service_kit.engines.hub import is_held_to_lock
from service_kit.errors import InvalidRequest

from tts_service.engines.higgs.voices import check_multi_speaker_id
from tts_service.settings import HiggsWeights, TtsSettings

log = logging.getLogger(__name__)

# Their names in models.lock.
_MODEL, _CODEC = "higgs-audio-v2", "higgs-audio-v2-tokenizer"


@dataclass(frozen=True, slots=True)
class HiggsConfig:
    """See `TtsSettings` for the meaning."""

    model: Path
    codec: Path
    models_dir: Path
    models_lock: Path
    voices: Path | None
    multi_speaker_voices: tuple[str, ...]
    device: str
    weights: HiggsWeights
    slots: int
    context_tokens: int
    temperature: float
    seed: int
    lazy: bool

    @classmethod
    def from_settings(cls, settings: TtsSettings) -> HiggsConfig:
        """What the settings choose. Raises `InvalidRequest` when there is no model, or for a cast that is none."""
        model = settings.higgs_model or settings.models_dir / _MODEL
        codec = settings.higgs_codec or settings.models_dir / _CODEC
        for folder in (model, codec):
            if not folder.is_dir():
                cure = f"`anchor pull {_MODEL} {_CODEC} --trust-on-first-use` fetches both"
                message = f"there is no folder {folder}; {cure}, or TTS_HIGGS_MODEL and TTS_HIGGS_CODEC name others"
                raise InvalidRequest("tts.model_missing", message)
        for cast in settings.higgs_casts:
            check_multi_speaker_id(cast)
        return cls(
            model,
            codec,
            settings.models_dir,
            settings.models_lock,
            settings.higgs_voices,
            settings.higgs_casts,
            settings.higgs_device,
            settings.higgs_weights,
            settings.higgs_slots,
            settings.higgs_context_tokens,
            settings.higgs_temperature,
            settings.higgs_seed,
            settings.higgs_lazy,
        )

    def verify_files(self) -> None:
        """Hold files that came here by `models.lock` to it. Raises `EngineFailed` for those that are not as it says."""
        for folder in (self.model, self.codec):
            held = is_held_to_lock(folder, self.models_lock, self.models_dir)
            log.info("model files were found", extra={"folder": str(folder), "verified": held})
