"""Writes the folder of a Voxtral Mini 3B without weights: its shape and a tokenizer of the same size, for vLLM."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

_VOCABULARY = 131_072
_AUDIO = {
    "sampling_rate": 16_000,
    # Audio tokens a second.
    "frame_rate": 12.5,
    "audio_encoding_config": {"num_mel_bins": 128, "hop_length": 160, "window_size": 400},
    "chunk_length_s": 30,
}
_DECODER = {
    "dim": 3072,
    "n_layers": 30,
    "head_dim": 128,
    "hidden_dim": 8192,
    "n_heads": 32,
    "n_kv_heads": 8,
    "rope_theta": 1e8,
    "norm_eps": 1e-5,
    "vocab_size": _VOCABULARY,
    "max_position_embeddings": 32_768,
    "tied_embeddings": False,
}
_ENCODER = {
    "dim": 1280,
    "n_layers": 32,
    "head_dim": 64,
    "hidden_dim": 5120,
    "n_heads": 20,
    "n_kv_heads": 20,
    "vocab_size": _VOCABULARY,
    "max_source_positions": 1500,
    "use_biases": True,
}
# Special tokens that are looked up by name, at the ranks of the real tokenizer; the others are never looked up.
_SPECIAL_TOKENS = {
    0: "<unk>",
    1: "<s>",
    2: "</s>",
    3: "[INST]",
    4: "[/INST]",
    5: "[AVAILABLE_TOOLS]",
    6: "[/AVAILABLE_TOOLS]",
    7: "[TOOL_RESULTS]",
    8: "[/TOOL_RESULTS]",
    9: "[TOOL_CALLS]",
    10: "[IMG]",
    11: "<pad>",
    12: "[IMG_BREAK]",
    13: "[IMG_END]",
    14: "[PREFIX]",
    15: "[MIDDLE]",
    16: "[SUFFIX]",
    17: "[SYSTEM_PROMPT]",
    18: "[/SYSTEM_PROMPT]",
    19: "[TOOL_CONTENT]",
    24: "[AUDIO]",
    25: "[BEGIN_AUDIO]",
    34: "[TRANSCRIBE]",
}


def write_model(folder: Path) -> Path:
    """Write the two files that vLLM reads. The vocabulary comes with mistral-common, a dependency of vLLM."""
    tokenizer = json.loads(files("mistral_common").joinpath("data/tekken_240911.json").read_text("utf-8"))
    folder.mkdir()
    (folder / "tekken.json").write_text(json.dumps(with_audio(tokenizer)), "utf-8")
    (folder / "params.json").write_text(json.dumps(shape()), "utf-8")
    return folder


def with_audio(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """A text model's `tokenizer` with the special tokens of Voxtral, and without those of images."""
    config = {**tokenizer["config"], "version": "v7", "default_vocab_size": _VOCABULARY}
    special_tokens = [
        {"rank": rank, "token_str": _SPECIAL_TOKENS.get(rank, f"<SPECIAL_{rank}>"), "is_control": True}
        for rank in range(max(_SPECIAL_TOKENS) + 1)
    ]
    return {"config": config, "vocab": tokenizer["vocab"], "special_tokens": special_tokens, "audio": _AUDIO}


def shape() -> dict[str, Any]:
    """The model's parameters."""
    audio = {name: _AUDIO[name] for name in ("sampling_rate", "frame_rate")}
    encoding = {**audio, **_AUDIO["audio_encoding_config"]}
    encoder = {**_ENCODER, "audio_encoding_args": encoding}
    parts = {"encoder_args": encoder, "downsample_args": {"downsample_factor": 4}}
    return {**_DECODER, "multimodal": {"whisper_model_args": parts}}
