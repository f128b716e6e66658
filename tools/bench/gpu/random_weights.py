"""higgs-audio v2 and its codec with random weights, made where they are used: nothing is read, nothing is fetched."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import torch
from torch import nn
from transformers import (
    DacModel,
    HiggsAudioV2Config,
    HiggsAudioV2ForConditionalGeneration,
    HiggsAudioV2TokenizerConfig,
)
from tts_service.engines.higgs.model.loading import CodecFiles
from tts_service.engines.higgs.prompt import Tokenize

_RATIOS = [8, 5, 4, 2, 3]
_TOKEN = re.compile(r"<\|.*?\|>|\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Size:
    """How large the model and its codec are; the fields that the real ones leave as they are by default stand out."""

    model: dict[str, Any]
    acoustic: dict[str, Any]


# 1024 codes, and two for begin and end.
FULL = Size({"codebook_size": 1026}, {})
TINY = Size(
    {
        "codebook_size": 1026,
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "audio_token_id": 63,
        "audio_bos_token_id": 62,
        "audio_delay_token_id": 61,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "initializer_range": 0.3,
    },
    {"encoder_hidden_size": 4, "decoder_hidden_size": 32, "hidden_size": 16},
)


def language_model(size: Size, device: torch.device) -> Any:
    """A model that speaks lively nonsense and does not end by itself."""
    config = HiggsAudioV2Config(**size.model)
    torch.manual_seed(1)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32 if device.type == "cpu" else torch.bfloat16)
    try:
        with device:
            made = HiggsAudioV2ForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(usual)
    made = made.requires_grad_(False).eval()
    # Its logit is none of the highest then, so it is never drawn.
    heads = made.audio_lm_head.weight.data.view(config.num_codebooks, config.codebook_size, -1)
    heads[:, config.audio_stream_eos_id] = 0
    return made


def quantised_model(size: Size, device: torch.device, kind: Any, slots: int) -> Any:
    """The same with its layers in eight bits, as the engine keeps them for so many slots.

    Raises `InvalidRequest` where the device cannot compute with them.
    """
    from tts_service.engines.higgs.model.quantised import QuantisedLinear, select_matmul

    # What was compiled for other numbers of slots counts against a limit.
    torch.compiler.reset()
    product = select_matmul(kind, device, slots)
    made = language_model(size, device)
    layers = [part for part in made.model.layers.modules() if not isinstance(part, nn.Linear)]
    for part in layers:
        for name, child in part.named_children():
            if isinstance(child, nn.Linear):
                setattr(part, name, QuantisedLinear(child.weight.data, kind, product))
    return made


def codec_files(size: Size) -> CodecFiles:
    """What the codec's decoder is built from, with random weights; the encoder's are left out."""
    acoustic = {"model_type": "dac", "downsampling_ratios": _RATIOS, "upsampling_ratios": _RATIOS, **size.acoustic}
    config = HiggsAudioV2TokenizerConfig(target_bandwidths=[0.5, 1, 1.5, 2], acoustic_model_config=acoustic)
    torch.manual_seed(2)
    decoder = DacModel(config.acoustic_model_config).decoder
    weights = {f"acoustic_decoder.{name}": weight for name, weight in decoder.state_dict().items()}
    sound, whole = config.acoustic_model_config.hidden_size, config.hidden_size
    weights |= {"fc2.weight": torch.randn(sound, whole) * whole**-0.5, "fc2.bias": torch.zeros(sound)}
    for book in range(config.num_quantizers):
        name = f"quantizer.quantizers.{book}."
        weights[name + "codebook.embed"] = torch.randn(config.codebook_size, config.codebook_dim)
        weights[name + "project_out.weight"] = torch.randn(whole, config.codebook_dim) * config.codebook_dim**-0.5
        weights[name + "project_out.bias"] = torch.zeros(whole)
    return CodecFiles(config, weights)


def encode_for(size: Size) -> Tokenize:
    """A token for each word and each sign; which one means nothing to random weights."""
    vocabulary = HiggsAudioV2Config(**size.model).vocab_size
    most = min(vocabulary, 128_000) - 4
    return lambda text: [crc32(piece.encode()) % most for piece in _TOKEN.findall(text)]
