"""What a Voxtral's `consolidated.safetensors` holds: every name and its shape, from `params.json` alone."""
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

Shape = tuple[int, ...]
# How loud words are beside signs, single bytes and all that is thought: the text of random weights is words.
WORDS_LOUDER = 20.0


def contents(params: Mapping[str, Any]) -> dict[str, Shape]:
    """Names and shapes, as the authors of the model wrote them."""
    audio = params["multimodal"]["whisper_model_args"]
    encoder, dim = audio["encoder_args"], params["dim"]
    root = "mm_streams_embeddings.embedding_module" if encoder.get("causal") else "mm_whisper_embeddings"
    joined = audio["downsample_args"]["downsample_factor"] * encoder["dim"]
    names = {
        f"{root}.tok_embeddings.weight": (params["vocab_size"], dim),
        f"{root}.audio_language_projection.0.weight": (dim, joined),
        f"{root}.audio_language_projection.2.weight": (dim, dim),
        "norm.weight": (dim,),
    }
    if not params["tied_embeddings"]:
        names["output.weight"] = (params["vocab_size"], dim)
    for layer in range(params["n_layers"]):
        names |= {f"layers.{layer}.{name}": shape for name, shape in _decoder_layer(params).items()}
    names |= {f"{root}.whisper_encoder.{name}": shape for name, shape in _encoder(encoder).items()}
    return names


def parameters(names: Mapping[str, Shape]) -> int:
    """How many values all the tensors have."""
    return sum(int(np.prod(shape)) for shape in names.values())


def _decoder_layer(params: Mapping[str, Any]) -> dict[str, Shape]:
    dim, head, width = params["dim"], params["head_dim"], params["hidden_dim"]
    queries, keys = params["n_heads"] * head, params["n_kv_heads"] * head
    layer = {
        "attention.wq.weight": (queries, dim),
        "attention.wk.weight": (keys, dim),
        "attention.wv.weight": (keys, dim),
        "attention.wo.weight": (dim, queries),
        "attention_norm.weight": (dim,),
        "feed_forward.w1.weight": (width, dim),
        "feed_forward.w2.weight": (dim, width),
        "feed_forward.w3.weight": (width, dim),
        "ffn_norm.weight": (dim,),
    }
    if params.get("ada_rms_norm_t_cond"):
        inner = params["ada_rms_norm_t_cond_dim"]
        layer |= {"ada_rms_norm_t_cond.0.weight": (inner, dim), "ada_rms_norm_t_cond.2.weight": (dim, inner)}
    return layer


def _encoder(encoder: Mapping[str, Any]) -> dict[str, Shape]:
    dim, causal = encoder["dim"], encoder.get("causal")
    convolution = ".conv" if causal else ""
    bands = encoder["audio_encoding_args"]["num_mel_bins"]
    names: dict[str, Shape] = {
        f"conv_layers.0{convolution}.weight": (dim, bands, 3),
        f"conv_layers.0{convolution}.bias": (dim,),
        f"conv_layers.1{convolution}.weight": (dim, dim, 3),
        f"conv_layers.1{convolution}.bias": (dim,),
        "transformer.norm.weight": (dim,),
    }
    if not causal:
        names["transformer.norm.bias"] = (dim,)
    for layer in range(encoder["n_layers"]):
        names |= {f"transformer.layers.{layer}.{name}": shape for name, shape in _encoder_layer(encoder).items()}
    return names


def _encoder_layer(encoder: Mapping[str, Any]) -> dict[str, Shape]:
    dim, width, heads = encoder["dim"], encoder["hidden_dim"], encoder["n_heads"] * encoder["head_dim"]
    layer: dict[str, Shape] = {
        "attention.wq.weight": (heads, dim),
        "attention.wq.bias": (heads,),
        # Whisper's keys have no bias.
        "attention.wk.weight": (heads, dim),
        "attention.wv.weight": (heads, dim),
        "attention.wv.bias": (heads,),
        "attention.wo.weight": (dim, heads),
        "attention.wo.bias": (dim,),
        "attention_norm.weight": (dim,),
        "feed_forward.w1.weight": (width, dim),
        "feed_forward.w2.weight": (dim, width),
        "feed_forward.w2.bias": (dim,),
        "ffn_norm.weight": (dim,),
    }
    if encoder.get("causal"):
        return layer | {"feed_forward.w3.weight": (width, dim)}
    return layer | {"attention_norm.bias": (dim,), "feed_forward.w1.bias": (width,), "ffn_norm.bias": (dim,)}


def write_weights(folder: Path, params: Mapping[str, Any], words: slice, seed: int = 7) -> None:
    """Random weights which make that every word is followed by the next of `words`, or itself where they are tied."""
    random = np.random.default_rng(seed)
    weights: dict[str, np.ndarray[Any, Any]] = {}
    for name, shape in contents(params).items():
        spread = float(np.prod(shape[1:])) ** -0.5
        made = np.ones(shape) if name.endswith("norm.weight") else random.standard_normal(shape) * spread
        weights[name] = made.astype(np.float32)
    read = next(matrix for name, matrix in weights.items() if name.endswith("tok_embeddings.weight"))
    read[words] *= WORDS_LOUDER
    if "output.weight" in weights:
        weights["output.weight"][words] = np.roll(read[words], 1, axis=0)
    save_file(weights, folder / "consolidated.safetensors")
