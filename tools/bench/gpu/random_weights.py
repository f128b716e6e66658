"""higgs-audio v2 and its codec with random weights, created in memory: nothing is read or downloaded."""
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
    """The size of the model and its codec: configuration fields that differ from the defaults."""

    model: dict[str, Any]
    acoustic: dict[str, Any]


# 1024 codes, and two for start and end.
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
    """A model that speaks nonsense and does not end by itself."""
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
    # The logit of the end code is then never among the highest, so it is never drawn.
    heads = made.audio_lm_head.weight.data.view(config.num_codebooks, config.codebook_size, -1)
    heads[:, config.audio_stream_eos_id] = 0
    return made


def quantised_model(size: Size, device: torch.device, kind: Any, slots: int) -> Any:
    """The same model with 8-bit layers, as the engine keeps them for so many slots.

    Raises `InvalidRequest` when the device cannot compute with them.
    """
    from tts_service.engines.higgs.model.quantised import QuantisedLinear, select_matmul

    # Code compiled for other numbers of slots counts against a limit.
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
    """The files for the codec's decoder, with random weights; without the encoder's."""
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
    """A tokenizer with one arbitrary token for each word and punctuation mark."""
    vocabulary = HiggsAudioV2Config(**size.model).vocab_size
    most = min(vocabulary, 128_000) - 4
    return lambda text: [crc32(piece.encode()) % most for piece in _TOKEN.findall(text)]
