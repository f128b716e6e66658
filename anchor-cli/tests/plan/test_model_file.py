"""Models read from a config.json or a GGUF file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.model_file import read_model
from anchor_cli.plan.overrides import build_planner
from anchor_cli.plan.weights import block_bytes
from gguf_files import PAIRS, Q4_K, TENSORS
from service_kit.errors import InvalidRequest

CATALOGUE = read_catalogue()
LLAMA_8B = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
    "max_position_embeddings": 131072,
}
WHISPER_ENCODER = {
    "hidden_size": 1280,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "intermediate_size": 5120,
    "max_source_positions": 1500,
}


@pytest.fixture
def config(tmp_path: Path) -> Callable[[Any], Path]:
    def write(content: Any) -> Path:
        path = tmp_path / "llama" / "config.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
        return path

    return write


def test_config_json_gives_the_catalogues_shape(config: Callable[[Any], Path]) -> None:
    model = read_model("llm", config(LLAMA_8B))
    assert model.shape == CATALOGUE.model("llama-8b").shape
    assert (model.name, model.runtime, model.trained_context_tokens) == ("llama", "llama_cpp", 131072)


def test_config_json_may_nest_text_and_audio_configs(config: Callable[[Any], Path]) -> None:
    known = CATALOGUE.model("voxtral-3b").shape
    assert known is not None
    language = {**LLAMA_8B, "num_hidden_layers": 30, "hidden_size": 3072, "intermediate_size": 8192}
    language |= {"head_dim": 128, "vocab_size": 131072}
    model = read_model("stt", config({"text_config": language, "audio_config": WHISPER_ENCODER}))
    assert model.shape is not None
    assert (model.shape.decoder, model.shape.encoder) == (known.decoder, known.encoder)
    assert model.precisions == ("bf16", "fp8")


def test_all_experts_are_counted(config: Callable[[Any], Path]) -> None:
    dense = read_model("llm", config(LLAMA_8B)).shape
    mixed = read_model("llm", config({**LLAMA_8B, "num_local_experts": 8})).shape
    assert dense is not None
    assert mixed is not None
    assert mixed.decoder.parameters - dense.decoder.parameters == 7 * 32 * 3 * 4096 * 14336


@pytest.mark.parametrize("content", [[], {"hidden_size": 12}, {**LLAMA_8B, "vocab_size": "many"}])
def test_incomplete_config_json_is_rejected(config: Callable[[Any], Path], content: Any) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read_model("llm", config(content))
    assert raised.value.code == "plan.unreadable_model"


def test_missing_file_is_rejected_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"none\.gguf"):
        read_model("llm", tmp_path / "none.gguf")


def test_gguf_file_gives_shape_and_exact_size(gguf: Callable[..., Path]) -> None:
    model = read_model("llm", gguf())
    assert model.shape is not None
    stack = model.shape.decoder
    assert (stack.layers, stack.hidden, stack.heads, stack.kv_heads, stack.head_dim) == (2, 512, 8, 2, 64)
    assert (model.title, model.shape.vocabulary, model.shape.tied) == ("Tiny", 3, True)
    assert model.file_weights_bytes == block_bytes("Q4_K", 512 * 3) + 512 * 4


def test_separate_output_matrix_is_detected(gguf: Callable[..., Path]) -> None:
    model = read_model("llm", gguf(tensors=[*TENSORS, ("output.weight", (512, 3), Q4_K)]))
    assert model.shape is not None
    assert not model.shape.tied


def test_gguf_file_can_be_planned(gguf: Callable[..., Path]) -> None:
    planner = build_planner(CATALOGUE, [f"llm={gguf()}"], None)
    llm = planner.plan(CATALOGUE.card("t4")).service("llm")
    assert (llm.choice.model, llm.choice.weights, llm.choice.context_tokens) == ("tiny", "as the file", 4096)


def test_gguf_file_without_block_count_is_rejected(gguf: Callable[..., Path]) -> None:
    pairs = {key: value for key, value in PAIRS.items() if key != "llama.block_count"}
    with pytest.raises(InvalidRequest, match="block_count"):
        read_model("llm", gguf(pairs))
