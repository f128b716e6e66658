"""Tiny random weights of Pocket TTS, in the folder layout of the engine."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pocket_tts import TTSModel, export_model_state
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

CHARACTERS = string.ascii_letters + string.digits + " .,!?'\u2026-:;"
# A hub URL as in the real configurations; must never be requested.
HUB = "hf://unknown/no-such-model"


def config(tokenizer: str, weights: str | None = None, layers: int = 2) -> dict[str, Any]:
    """A configuration with few channels."""
    transformer = {"d_model": 32, "num_heads": 2, "num_layers": 1, "layer_scale": 0.1, "context": 50}
    return {
        "weights_path": weights,
        "default_eos_threshold": 1e9,
        "flow_lm": {
            "dtype": "float32",
            "insert_bos_before_voice": True,
            "flow": {"dim": 16, "depth": 1},
            "transformer": {
                "hidden_scale": 2,
                "max_period": 10000,
                "d_model": 32,
                "num_heads": 2,
                "num_layers": layers,
            },
            "lookup_table": {
                "dim": 32,
                "n_bins": len(CHARACTERS) + 1,
                "tokenizer": "tokenizers",
                "tokenizer_path": tokenizer,
            },
        },
        "mimi": {
            "dtype": "float32",
            "sample_rate": 24000,
            "channels": 1,
            "frame_rate": 12.5,
            "inner_dim": 8,
            "outer_dim": 32,
            "seanet": {
                "dimension": 32,
                "channels": 1,
                "n_filters": 4,
                "n_residual_layers": 1,
                "ratios": [6, 5, 4],
                "kernel_size": 7,
                "residual_kernel_size": 3,
                "last_kernel_size": 3,
                "dilation_base": 2,
                "pad_mode": "constant",
                "compress": 2,
            },
            "transformer": transformer | {"dim_feedforward": 64, "input_dimension": 32, "output_dimensions": [32]},
            "quantizer": {"dimension": 8, "output_dimension": 32},
        },
    }


def write_tokenizer(path: Path) -> None:
    """A token per character."""
    vocabulary = {"[UNK]": 0} | {character: place + 1 for place, character in enumerate(CHARACTERS)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.decoder = decoders.Fuse()
    made.save(str(path))


def random_model(folder: Path, layers: int = 2) -> Any:
    """A model whose audio varies with its input."""
    torch.manual_seed(3)
    path = folder / "random.yaml"
    path.write_text(json.dumps(config(str(folder / "tokenizer.json"), layers=layers)))
    model = TTSModel.load_model(config=path)
    path.unlink()
    model.requires_grad_(False)
    # Earlier audio must influence later audio.
    model.flow_lm.speaker_proj_weight.normal_(0, 30)
    for block in model.flow_lm.transformer.layers:
        block.self_attn.in_proj.weight *= 3
        block.self_attn.out_proj.weight *= 3
    for parameter in model.mimi.decoder.parameters():
        if parameter.ndim > 1:
            parameter *= 2
    return model


def write_folder(folder: Path, layers: int = 2) -> None:
    """A model's folder, with one voice in it."""
    (folder / "voices").mkdir(parents=True)
    write_tokenizer(folder / "tokenizer.json")
    model = random_model(folder, layers)
    save_file({name: tensor.clone() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    described = config(f"{HUB}/tokenizer.json@0123", f"{HUB}/languages/xx/model.safetensors@4567", layers)
    described["weights_path_without_voice_cloning"] = f"{HUB}/without.safetensors@89ab"
    (folder / "config.yaml").write_text(json.dumps(described))
    noise = torch.from_numpy(np.random.default_rng(5).normal(0, 0.1, (1, 48_000)).astype(np.float32))
    export_model_state(model.get_state_for_audio_prompt(noise), folder / "voices" / "alba.safetensors")
