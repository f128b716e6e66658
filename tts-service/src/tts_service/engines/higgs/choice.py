"""Which higgs speaks, where and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from service_kit.errors import InvalidRequest

from tts_service.engines.higgs.casts import check_cast
from tts_service.settings import HiggsWeights, TtsSettings


@dataclass(frozen=True, slots=True)
class HiggsChoice:
    """See `TtsSettings` for the meaning."""

    model: Path
    codec: Path
    voices: Path | None
    casts: tuple[str, ...]
    device: str
    weights: HiggsWeights
    slots: int
    context_tokens: int
    temperature: float
    seed: int
    lazy: bool

    @classmethod
    def from_settings(cls, settings: TtsSettings) -> HiggsChoice:
        """What the settings choose. Raises `InvalidRequest` when they name no model, or a cast that is none."""
        if settings.higgs_model is None or settings.higgs_codec is None:
            raise InvalidRequest("tts.model_missing", "TTS_HIGGS_MODEL and TTS_HIGGS_CODEC must name folders")
        for cast in settings.higgs_casts:
            check_cast(cast)
        return cls(
            settings.higgs_model,
            settings.higgs_codec,
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
