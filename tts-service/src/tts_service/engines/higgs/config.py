"""Configuration of the engine `higgs`, and verification of its model files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from service_kit.anchor_command import anchor_command
from service_kit.errors import InvalidRequest

from tts_service.engines.higgs.voices import check_multi_speaker_id
from tts_service.engines.model_folder import verify_pulled
from tts_service.settings import HiggsWeights, TtsSettings

# Their names in models.lock.
_MODEL = "higgs-audio-v2"
# The codec in its authors' repository, and copies of it in others.
CODECS = ("higgs-audio-v2-tokenizer", "higgs-audio-v2-tokenizer-eustlb", "higgs-audio-v2-tokenizer-omnivoice")


@dataclass(frozen=True, slots=True)
class HiggsConfig:
    """The settings of the engine; `TtsSettings` explains each."""

    model: Path
    codec: Path
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
        """Take the configuration from the settings.

        Raises `InvalidRequest` when a model folder is missing, and for an invalid multi-speaker voice.
        """
        model = settings.higgs_model or settings.models_dir / _MODEL
        codec = settings.higgs_codec or _find_codec(settings.models_dir)
        for folder in (model, codec):
            if not folder.is_dir():
                pull = anchor_command(f"pull {_MODEL} {CODECS[0]}")
                remedy = f"`{pull}` downloads both"
                message = f"there is no folder {folder}; {remedy}, or set TTS_HIGGS_MODEL and TTS_HIGGS_CODEC"
                raise InvalidRequest("tts.model_missing", message)
        for voice_id in settings.higgs_casts:
            check_multi_speaker_id(voice_id)
        return cls(
            model,
            codec,
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
        """Verify the hashes of files that `models.lock` lists. Raises `EngineFailed` for a mismatch."""
        for folder in (self.model, self.codec):
            verify_pulled(folder, self.models_lock)


def _find_codec(models_dir: Path) -> Path:
    """The first complete folder of a codec, else the folder of the first of `CODECS`."""
    folders = [models_dir / name for name in CODECS]
    return next((folder for folder in folders if (folder / "model.safetensors").is_file()), folders[0])
