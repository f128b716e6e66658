"""Tiny random weights of CSM with its codec, in the layout of the real folder."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import CsmConfig, CsmForConditionalGeneration

BOOKS, CODES = 4, 64
# The model has three codes more than the codec.
VOCABULARY = CODES + 3
SIGNS = ("<|begin_of_text|>", "<|end_of_text|>", "<|AUDIO|>", "<|audio_eos|>")


def config(positions: int = 512) -> Any:
    """The real geometry with few channels, and four small codebooks."""
    return CsmConfig(
        num_codebooks=BOOKS,
        vocab_size=VOCABULARY,
        text_vocab_size=128,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        bos_token_id=0,
        pad_token_id=2,
        audio_token_id=2,
        audio_eos_token_id=3,
        codebook_pad_token_id=CODES + 2,
        codebook_eos_token_id=0,
        initializer_range=0.5,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
        depth_decoder_config={
            "num_codebooks": BOOKS,
            "backbone_hidden_size": 32,
            "vocab_size": VOCABULARY,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "max_position_embeddings": BOOKS + 1,
            "initializer_range": 0.5,
            "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0},
        },
        codec_config={
            "model_type": "mimi",
            "hidden_size": 32,
            "num_filters": 4,
            "codebook_size": CODES,
            "codebook_dim": 16,
            "num_quantizers": BOOKS,
            "vector_quantization_hidden_dimension": 16,
            "upsample_groups": 32,
            "num_hidden_layers": 1,
            "intermediate_size": 64,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "sliding_window": 250,
            "layer_scale_initial_scale": 0.3,
        },
    )


def model(positions: int = 512) -> Any:
    """A model whose audio varies with its input."""
    torch.manual_seed(1)
    made = CsmForConditionalGeneration(config(positions)).requires_grad_(False).eval()
    for name, buffer in made.codec_model.named_buffers():
        # Random codebooks are all zero, which decodes to silence.
        if name.endswith("embed_sum"):
            buffer.normal_()
    for parameter in made.codec_model.decoder.parameters():
        if parameter.ndim == 3:
            torch.nn.init.kaiming_normal_(parameter)
            parameter *= 0.6
    return made


def tokenizer() -> Tokenizer:
    """Control tokens as in the real one, and a token per character."""
    signs = {sign: place for place, sign in enumerate(SIGNS)}
    characters = {sign: len(SIGNS) + 1 + place for place, sign in enumerate(string.printable[:95])}
    made = Tokenizer(models.WordLevel(signs | {"[UNK]": len(SIGNS)} | characters, unk_token="[UNK]"))  # noqa: S106
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.add_special_tokens([AddedToken(sign, special=True) for sign in SIGNS])
    return made


def write_folder(folder: Path, positions: int = 512, ends: bool = False) -> None:
    """Write a model's folder; with `ends` the model returns only its end token."""
    made = model(positions)
    if ends:
        _lean_to_the_end(made)
    made.save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))


def _lean_to_the_end(made: Any) -> None:
    """Let the first channel outweigh all others and favour code 0, the end token."""
    made.embed_text_tokens.weight[:, 0] = 100
    made.backbone_model.embed_tokens.embed_audio_tokens.weight[:, 0] = 100
    made.lm_head.weight[:, 0] = 0
    made.lm_head.weight[0, 0] = 50
    depth = made.depth_decoder
    depth.model.inputs_embeds_projector.weight[0] = 0
    depth.model.inputs_embeds_projector.weight[0, 0] = 50
    depth.codebooks_head.weight[:, 0] = 0
    depth.codebooks_head.weight[:, 0, 0] = 50
