"""Loads CSM with its codec and tokenizer from a local folder in the layout of transformers. Never downloads."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from service_kit.errors import EngineFailed
from tokenizers import Tokenizer
from transformers import CsmForConditionalGeneration
from transformers.utils.logging import disable_progress_bar

from tts_service.engines.csm.model import FrameModel
from tts_service.engines.model_folder import broken_file_error, find_file, read_config, verify_pulled

if TYPE_CHECKING:
    from tts_service.engines.csm.config import CsmConfig

# The first is what `transformers_weights` in the published config.json names: beside it, model.safetensors has the
# authors' own layout.
_WEIGHTS = ("transformers.safetensors.index.json", "model.safetensors", "model.safetensors.index.json")


class LoadedCsm:
    """The loaded model, and the parameters of its codec. Blocking; created on the engine's thread."""

    def __init__(self, config: CsmConfig) -> None:
        verify_pulled(config.model, config.models_lock)
        # The tokenizer first: its file is small, so a wrong folder fails fast.
        tokenizer = load_tokenizer(config.model)
        model = load_model(config.model, torch.device(config.device))
        codec = model.config.codec_config
        self.rate_hz: int = codec.sampling_rate
        self.frame_ms: float = 1000 / codec.frame_rate
        self.books: int = model.config.num_codebooks
        self.codes: int = codec.codebook_size
        self.model = FrameModel(model, tokenizer, config.temperature)


def load_model(folder: Path, device: torch.device) -> Any:
    """Load the model; on a GPU all parts but the codec are in half precision. Raises `EngineFailed` if incomplete."""
    read_config(folder, "csm")
    weights = find_file(folder, *_WEIGHTS)
    # Progress bars would break the line-based log.
    disable_progress_bar()
    try:
        model, found = CsmForConditionalGeneration.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except SafetensorError as error:
        raise broken_file_error(weights, error) from error
    except (RuntimeError, ValueError, OSError) as error:
        raise _mismatch_error(folder, " ".join(str(error).split())[:300]) from error
    lacking = sorted(found["missing_keys"]) + sorted(str(key) for key in found["mismatched_keys"])
    if lacking:
        raise _mismatch_error(folder, f"{len(lacking)} weights are missing, {lacking[0]} among them")
    model = model.requires_grad_(False).eval()
    return (model if device.type == "cpu" else to_half_precision(model)).to(device)


def to_half_precision(model: Any) -> Any:
    """Convert `model` to half precision, except for its codec, whose audio quality would suffer.

    Buffers stay as they are, as in `from_pretrained`: rounded rotary frequencies are off by 1.4 rad at position 1500.
    """
    for part in (model.backbone_model, model.depth_decoder, model.lm_head, model.embed_text_tokens):
        for parameter in part.parameters():
            parameter.data = parameter.data.to(torch.bfloat16)
    return model


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load the tokenizer. Raises `EngineFailed` when its file is missing or broken."""
    path = find_file(folder, "tokenizer.json")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:
        # The tokenizers library raises plain `Exception`.
        raise broken_file_error(path, error) from error


def _mismatch_error(folder: Path, reason: str) -> EngineFailed:
    return EngineFailed(
        "tts.model_layout", f"config and weights in {folder} are not of one model: {reason}; copy both again"
    )
