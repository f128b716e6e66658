"""Loads the language model with 8-bit layers, one matrix at a time, which keeps the peak memory low."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from service_kit.errors import EngineFailed
from torch import Tensor, nn
from transformers import HiggsAudioV2Config, HiggsAudioV2ForConditionalGeneration

from tts_service.engines.higgs.model.quantised import EightBits, MatMul, QuantisedLinear

# Only these are quantised: with 8-bit embeddings, norms or head the voice drifts.
_LAYERS = "model.layers."
# Speech generation does not use the text head.
_UNUSED = frozenset({"text_lm_head.weight"})


def load_quantised(folder: Path, device: torch.device, dtype: torch.dtype, kind: EightBits, matmul: MatMul) -> Any:
    """Load the language model; tensors that are not quantised have type `dtype`."""
    config = HiggsAudioV2Config.from_pretrained(folder, local_files_only=True)
    with torch.device("meta"):
        lm = HiggsAudioV2ForConditionalGeneration(config)
    for path in sorted(folder.glob("model*.safetensors")):
        with safe_open(path, "pt") as file:
            # The file is not iterable, although it has `keys`.
            for name in file.keys():  # noqa: SIM118
                if name not in _UNUSED:
                    _set_weight(lm, name, file.get_tensor(name).to(device), dtype, kind, matmul)
    missing = [name for name, weight in lm.named_parameters() if weight.is_meta]
    if missing:
        raise EngineFailed("tts.model_layout", f"the weights in {folder} lack {', '.join(missing[:3])}")
    # Buffers, which are not stored in the files.
    lm.model.rotary_emb = type(lm.model.rotary_emb)(config).to(device)
    offsets = torch.arange(config.num_codebooks, device=device) * config.codebook_size
    lm.model.embed_audio_tokens.audio_tokens_offsets = nn.Buffer(offsets, persistent=False)
    return lm.requires_grad_(False).eval()


def _set_weight(lm: Any, name: str, tensor: Tensor, dtype: torch.dtype, kind: EightBits, product: MatMul) -> None:
    owner_name, _, weight_name = name.rpartition(".")
    parent_name, _, own_name = owner_name.rpartition(".")
    try:
        owner = lm.get_submodule(owner_name)
        expected = getattr(owner, weight_name)
    except AttributeError as error:
        raise EngineFailed("tts.model_layout", f"the model has no {name}") from error
    if expected is None or expected.shape != tensor.shape:
        raise EngineFailed("tts.model_layout", f"the model expects no {name} of shape {tuple(tensor.shape)}")
    if isinstance(owner, nn.Linear) and owner.bias is None and owner_name.startswith(_LAYERS):
        setattr(lm.get_submodule(parent_name), own_name, QuantisedLinear(tensor, kind, product))
    else:
        setattr(owner, weight_name, nn.Parameter(tensor.to(dtype), requires_grad=False))
