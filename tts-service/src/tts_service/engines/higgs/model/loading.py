"""Loads the model and its codec from local folders in their authors' current layout."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from service_kit.errors import EngineFailed
from tokenizers import Tokenizer
from transformers import HiggsAudioV2ForConditionalGeneration, HiggsAudioV2TokenizerConfig
from transformers.utils.logging import disable_progress_bar

from tts_service.engines.higgs.model.quantised import select_matmul
from tts_service.engines.higgs.model.quantised_loading import load_quantised
from tts_service.engines.higgs.prompt import Tokenize
from tts_service.engines.model_folder import find_file, read_config
from tts_service.settings import HiggsWeights as Weights

_OLDER = "; files of the older layout (before April 2026) must be converted"
# torch's names of the two parts of a weight under weight normalisation: length and direction.
_LENGTH, _DIRECTION = "parametrizations.weight.original0", "parametrizations.weight.original1"


@dataclass(frozen=True, slots=True)
class CodecFiles:
    """The codec's configuration and weights, for the decoder and the encoder."""

    config: Any
    weights: dict[str, torch.Tensor]


def load_language_model(folder: Path, device: torch.device, weights: Weights = "bf16", slots: int = 1) -> Any:
    """Load the speech language model, on a GPU in half precision; each step has a row for each of `slots`.

    Raises `InvalidRequest` for a weight format that the device does not support.
    """
    read_config(folder, "higgs_audio_v2", _OLDER)
    # Progress bars would break the line-based log.
    disable_progress_bar()
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    if weights != "bf16":
        return load_quantised(folder, device, dtype, weights, select_matmul(weights, device, slots))
    lm = HiggsAudioV2ForConditionalGeneration.from_pretrained(folder, dtype=dtype, local_files_only=True)
    return lm.requires_grad_(False).eval().to(device)


def load_tokenizer(folder: Path) -> Tokenize:
    """Load the language model's tokenizer."""
    tokenizer = Tokenizer.from_file(str(find_file(folder, "tokenizer.json")))
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def load_codec(folder: Path) -> CodecFiles:
    """Load the codec's files. Raises `EngineFailed` when they hold another model; such copies are in circulation."""
    settings = read_config(folder, "higgs_audio_v2_tokenizer", _OLDER)
    weights = load_file(folder / "model.safetensors")
    if "fc2.weight" not in weights or not any(name.startswith("acoustic_decoder.") for name in weights):
        raise EngineFailed("tts.model_layout", f"the weights in {folder} are not those of a codec")
    return CodecFiles(HiggsAudioV2TokenizerConfig.from_dict(settings), _merge_weight_norm(weights))


def _merge_weight_norm(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Merge the weight normalisation of the acoustic parts: multiply lengths and directions."""
    parted = [name for name in weights if name.startswith("acoustic_") and name.endswith(_LENGTH)]
    whole = {
        name: weight for name, weight in weights.items() if not name.startswith("acoustic_") or "parametri" not in name
    }
    for name in parted:
        length, direction = weights[name], weights[name.replace(_LENGTH, _DIRECTION)]
        norm = direction.flatten(1).norm(dim=1).view(length.shape)
        whole[name.replace(_LENGTH, "weight")] = direction * (length / norm)
    return whole
