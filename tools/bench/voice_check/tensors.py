"""Compares the tensors of a model's folder with those of the architecture. Nothing is loaded."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from transformers import HiggsAudioV2Config, HiggsAudioV2ForConditionalGeneration

# The authors' older layout has both heads under this name, and their converter leaves them in the file.
_OLD_HEADS = "audio_decoder_proj."
# Speech does not use it, and copies may lack it.
_TEXT_HEAD = "text_lm_head.weight"


def compare_tensors(folder: Path) -> dict[str, list[str]]:
    """Names of missing, unexpected and misshapen tensors."""
    config = HiggsAudioV2Config.from_pretrained(folder, local_files_only=True)
    with torch.device("meta"):
        model = HiggsAudioV2ForConditionalGeneration(config)
    wanted = {name: list(weight.shape) for name, weight in model.named_parameters()}
    found: dict[str, list[int]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            found |= {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    for name in [name for name in found if name.startswith(_OLD_HEADS)]:
        # In place of the newer name, or beside it.
        found.setdefault(name.removeprefix(_OLD_HEADS), found.pop(name))
    ignored = {_TEXT_HEAD}
    both = wanted.keys() & found.keys()
    return {
        "missing": sorted(wanted.keys() - found.keys() - ignored),
        "unexpected": sorted(found.keys() - wanted.keys() - ignored),
        "misshapen": sorted(name for name in both if wanted[name] != found[name]),
    }
