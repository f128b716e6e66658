"""Loads the language model one matrix at a time, in every format, which keeps the peak memory low.

One path for all formats, so that they accept and refuse the same files.
"""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from service_kit.errors import EngineFailed
from torch import Tensor, nn
from transformers import HiggsAudioV2Config, HiggsAudioV2ForConditionalGeneration

from tts_service.engines.model_folder import broken_file_error, find_file

# Makes a layer of a weight, shape [out, in], with 8 bits per number.
MakeLayer = Callable[[Tensor], nn.Module]

_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
# Only these are quantised: with 8-bit embeddings, norms or head the voice drifts.
_LAYERS = "model.layers."
# The authors' older layout has both heads under this name, and their converter leaves them in the file.
_OLD_HEADS = "audio_decoder_proj."
_HEAD = "audio_lm_head.weight"
# Speech generation does not use the text head.
_TEXT_HEAD = "text_lm_head.weight"


def load_piecewise(folder: Path, device: torch.device, dtype: torch.dtype, make_layer: MakeLayer | None = None) -> Any:
    """Load the language model; tensors have type `dtype`, except for the layers that `make_layer` makes.

    Raises `EngineFailed` when tensors are missing, are none of the model's, or have another shape.
    """
    config = HiggsAudioV2Config.from_pretrained(folder, local_files_only=True)
    with torch.device("meta"):
        lm = HiggsAudioV2ForConditionalGeneration(config)
    places = {name: path for path in _weight_files(folder) for name in _tensor_names(path)}
    for path in sorted(set(places.values())):
        try:
            with safe_open(path, "pt") as file:
                for name in (name for name, owner in places.items() if owner == path):
                    if (parameter := _parameter_of(name, has_head=_HEAD in places)) is not None:
                        _set_weight(lm, parameter, file.get_tensor(name).to(device), dtype, make_layer)
        except SafetensorError as error:
            raise broken_file_error(path, error) from error
    missing = [name for name, weight in lm.named_parameters() if weight.is_meta]
    if missing:
        raise EngineFailed("tts.model_layout", f"the weights in {folder} lack {', '.join(missing[:3])}")
    # Buffers, which are not stored in the files.
    lm.model.rotary_emb = type(lm.model.rotary_emb)(config).to(device)
    offsets = torch.arange(config.num_codebooks, device=device) * config.codebook_size
    lm.model.embed_audio_tokens.audio_tokens_offsets = nn.Buffer(offsets, persistent=False)
    return lm.requires_grad_(False).eval()


def _weight_files(folder: Path) -> list[Path]:
    """The weight files: the whole one, or the parts that the index names. Other files may be of another download."""
    if (whole := find_file(folder, _WEIGHTS, _INDEX)).name == _WEIGHTS:
        return [whole]
    try:
        parts = sorted(set(json.loads(whole.read_text("utf-8"))["weight_map"].values()))
        return [find_file(folder, Path(part).name) for part in parts]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise broken_file_error(whole, error) from error


def _tensor_names(path: Path) -> Iterator[str]:
    try:
        with safe_open(path, "pt") as file:
            yield from file.keys()
    except SafetensorError as error:
        raise broken_file_error(path, error) from error


def _parameter_of(name: str, has_head: bool) -> str | None:
    """The parameter for a file's tensor; None for a tensor that is not used."""
    current = name.removeprefix(_OLD_HEADS)
    if current == _TEXT_HEAD or (current != name and current == _HEAD and has_head):
        return None
    return current if current == _HEAD else name


def _set_weight(lm: Any, name: str, tensor: Tensor, dtype: torch.dtype, make_layer: MakeLayer | None) -> None:
    owner_name, _, weight_name = name.rpartition(".")
    parent_name, _, own_name = owner_name.rpartition(".")
    try:
        owner = lm.get_submodule(owner_name)
        expected = getattr(owner, weight_name)
    except AttributeError as error:
        raise EngineFailed("tts.model_layout", f"the model has no {name}") from error
    if expected is None or expected.shape != tensor.shape:
        raise EngineFailed("tts.model_layout", f"the model expects no {name} of shape {tuple(tensor.shape)}")
    is_layer = isinstance(owner, nn.Linear) and owner.bias is None and owner_name.startswith(_LAYERS)
    if make_layer is not None and is_layer:
        setattr(lm.get_submodule(parent_name), own_name, make_layer(tensor))
    else:
        setattr(owner, weight_name, nn.Parameter(tensor.to(dtype), requires_grad=False))
