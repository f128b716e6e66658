"""Tiny random weights of higgs-audio v2 and its codec, in folders laid out as the real ones are."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import (
    DacModel,
    HiggsAudioV2Config,
    HiggsAudioV2ForConditionalGeneration,
    HiggsAudioV2TokenizerConfig,
    HubertModel,
)

SIGNS = (
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|scene_desc_start|>",
    "<|scene_desc_end|>",
    "<|eot_id|>",
    "<|audio_eos|>",
)
AUDIO_BOS, AUDIO_DELAY, AUDIO = 62, 61, 63
RATIOS = [8, 5, 4, 2, 3]


def language_model(seed: int = 1) -> Any:
    """A model with two layers whose speech is lively though it means nothing."""
    torch.manual_seed(seed)
    config = HiggsAudioV2Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        codebook_size=1026,
        audio_token_id=AUDIO,
        audio_bos_token_id=AUDIO_BOS,
        audio_delay_token_id=AUDIO_DELAY,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.3,
    )
    return HiggsAudioV2ForConditionalGeneration(config).requires_grad_(False).eval()


def tokenizer() -> Tokenizer:
    """Signs as in the real one, and a few tokens for all words."""
    vocabulary = {"[UNK]": 3} | {chr(97 + letter): 4 + letter for letter in range(26)}
    made = Tokenizer(models.WordLevel(vocabulary | {"hello": 31, "1": 58}, unk_token="[UNK]"))  # noqa: S106
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.add_special_tokens([AddedToken(sign, special=True) for sign in (*SIGNS, "<|audio_out_bos|>")])
    return made


def codec_config() -> Any:
    """The real codec's geometry with few channels."""
    return HiggsAudioV2TokenizerConfig(
        target_bandwidths=[0.5, 1, 1.5, 2],
        acoustic_model_config={
            "model_type": "dac",
            "encoder_hidden_size": 4,
            "decoder_hidden_size": 32,
            "hidden_size": 16,
            "downsampling_ratios": RATIOS,
            "upsampling_ratios": RATIOS,
        },
        semantic_model_config={
            "model_type": "hubert",
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "conv_dim": [16] * 7,
            "mask_time_prob": 0.0,
        },
    )


def codec_weights(config: Any, seed: int = 2) -> dict[str, torch.Tensor]:
    """Random weights under the names that the real file has."""
    torch.manual_seed(seed)
    acoustic = DacModel(config.acoustic_model_config)
    for part in acoustic.modules():
        if isinstance(part, nn.Conv1d):
            # Lively, yet not so loud that the last bits of a number decide what is heard.
            nn.init.kaiming_normal_(part.weight)
            part.weight.data *= 0.5
    parts = {"acoustic_encoder": acoustic.encoder, "acoustic_decoder": acoustic.decoder}
    parts["semantic_model"] = HubertModel(config.semantic_model_config)
    weights = {
        f"{part}.{name}": tensor for part, module in parts.items() for name, tensor in module.state_dict().items()
    }
    semantic, sound = config.semantic_hidden_size, config.acoustic_model_config.hidden_size
    whole = config.hidden_size
    shapes = {"fc": (whole, whole), "fc1": (semantic, whole), "fc2": (sound, whole)}
    for book in range(config.num_quantizers):
        shapes[f"quantizer.quantizers.{book}.project_in"] = (config.codebook_dim, whole)
        shapes[f"quantizer.quantizers.{book}.project_out"] = (whole, config.codebook_dim)
        weights[f"quantizer.quantizers.{book}.codebook.embed"] = torch.randn(config.codebook_size, config.codebook_dim)
    for name, shape in shapes.items():
        weights[f"{name}.weight"] = torch.randn(shape) * shape[1] ** -0.5
        weights[f"{name}.bias"] = torch.randn(shape[0]) * 0.1
    semantic_encoder = {"conv.weight": (semantic, semantic, 3)}
    for block in range(2):
        semantic_encoder[f"conv_blocks.{block}.conv.weight"] = (semantic, semantic, 3)
        weights[f"encoder_semantic.conv_blocks.{block}.conv.bias"] = torch.randn(semantic)
        for unit in range(2):
            name = f"conv_blocks.{block}.res_units.{unit}."
            semantic_encoder |= {
                name + "conv1.weight": (semantic, semantic, 3),
                name + "conv2.weight": (semantic, semantic, 1),
            }
    for name, shape in semantic_encoder.items():
        weights[f"encoder_semantic.{name}"] = torch.randn(shape) * (shape[1] * shape[2]) ** -0.5
    return {name: weight.detach().clone().contiguous() for name, weight in weights.items()}


def write_model(folder: Path, endings: float = 0.0) -> None:
    """The folder of a model; `endings` is how strongly it leans to or from ending, 0 that it never does."""
    model = language_model()
    model.audio_lm_head.weight.data.view(8, 1026, -1)[:, model.config.audio_stream_eos_id] *= endings
    model.save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))


def write_codec(folder: Path, loudness: float = 1.0) -> None:
    """A codec's folder; at full loudness its noise is now and then too loud for a reply."""
    config = codec_config()
    config.save_pretrained(folder)
    weights = codec_weights(config)
    for name in ("weight", "bias"):
        weights[f"acoustic_decoder.conv2.{name}"] *= loudness
    save_file(weights, folder / "model.safetensors")
