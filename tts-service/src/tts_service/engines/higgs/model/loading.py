"""Loads the model and its codec from local folders in their authors' current layout."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from service_kit.anchor_command import anchor_command
from service_kit.errors import EngineFailed
from tokenizers import Tokenizer
from transformers import HiggsAudioV2TokenizerConfig

from tts_service.engines.higgs.config import CODECS
from tts_service.engines.higgs.model.piecewise_loading import load_piecewise
from tts_service.engines.higgs.model.quantised import QuantisedLinear, select_matmul
from tts_service.engines.higgs.prompt import Tokenize
from tts_service.engines.model_folder import broken_file_error, find_file, read_config
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

    Raises `InvalidRequest` for a weight format that the device does not support, `EngineFailed` for files that are not
    whole or of another model.
    """
    read_config(folder, "higgs_audio_v2", _OLDER)
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    if weights == "bf16":
        return load_piecewise(folder, device, dtype)
    matmul = select_matmul(weights, device, slots)
    return load_piecewise(folder, device, dtype, partial(QuantisedLinear, kind=weights, matmul=matmul))


def load_tokenizer(folder: Path) -> Tokenize:
    """Load the language model's tokenizer."""
    tokenizer = Tokenizer.from_file(str(find_file(folder, "tokenizer.json")))
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def load_codec(folder: Path) -> CodecFiles:
    """Load the codec's files. Raises `EngineFailed` when they hold another model; such copies are in circulation."""
    settings = read_config(folder, "higgs_audio_v2_tokenizer", _OLDER)
    path = find_file(folder, "model.safetensors")
    try:
        # The names first: a language model in the codec's place has 10 GB.
        with safe_open(path, "pt") as file:
            names = set(file.keys())
        if "fc2.weight" not in names or not any(name.startswith("acoustic_decoder.") for name in names):
            others = " or ".join(f"`{anchor_command(f'pull {name}')}`" for name in CODECS[1:])
            advice = f"{others} fetches a copy of the codec; delete this folder then, or set TTS_HIGGS_CODEC"
            raise EngineFailed("tts.model_layout", f"the weights in {folder} are not those of a codec; {advice}")
        weights = load_file(path)
    except SafetensorError as error:
        raise broken_file_error(path, error) from error
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
