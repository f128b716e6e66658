"""Reads models outside the catalogue from a Hugging Face config.json or a GGUF file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from service_kit.errors import InvalidRequest
from service_kit.parsing.documents import parse_json

from anchor_cli.plan.budget import Model
from anchor_cli.plan.gguf_header import GgufHeader, read_gguf_header
from anchor_cli.plan.shapes import ModelShape, TransformerStack
from anchor_cli.plan.weights import MIXTURES

# Encoder steps per clip, for encoders that do not state it.
CLIP_STEPS = 1500
RUNTIMES = {"stt": "vllm", "tts": "torch", "llm": "llama_cpp"}
ENGINES = {"stt": "voxtral", "tts": "higgs", "llm": ""}
PRECISIONS = {
    "stt": ("bf16", "fp8"),
    "tts": ("bf16", "int8", "fp8"),
    "llm": ("Q4_K_M", *(name for name in MIXTURES if name != "Q4_K_M")),
}


def read_model(service: str, path: Path) -> Model:
    """Read the model at `path`, with the runtime and engine of `service`.

    Raises `InvalidRequest` (`plan.unreadable_model`).
    """
    try:
        if path.suffix == ".gguf":
            return _model_of_gguf(read_gguf_header(path), path)
        shape, trained = _shape_of_config(parse_json(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise InvalidRequest("plan.unreadable_model", f"{path} cannot be read: {error}") from error
    name = path.parent.name or path.stem
    return Model(
        name,
        name,
        RUNTIMES[service],
        str(path),
        PRECISIONS[service],
        shape,
        engine=ENGINES[service],
        trained_context_tokens=trained,
    )


def _model_of_gguf(header: GgufHeader, path: Path) -> Model:
    heads, hidden = header.number("attention.head_count"), header.number("embedding_length")
    tokens = header.values.get("tokenizer.ggml.tokens", [])
    stack = TransformerStack(
        layers=header.number("block_count"),
        hidden=hidden,
        heads=heads,
        kv_heads=header.number("attention.head_count_kv", heads),
        head_dim=header.number("attention.key_length", hidden // heads),
        feed_forward=header.number("feed_forward_length"),
        feed_forwards=header.number("expert_count", 1),
    )
    vocabulary = header.number("vocab_size", len(tokens) if isinstance(tokens, list) else None)
    return Model(
        path.stem,
        str(header.values.get("general.name", path.stem)),
        "llama_cpp",
        str(path),
        ("as the file",),
        ModelShape(stack, vocabulary, tied="output.weight" not in header.tensor_bytes),
        file_weights_bytes=sum(header.tensor_bytes.values()),
        trained_context_tokens=header.number("context_length", 0),
    )


def _shape_of_config(config: object) -> tuple[ModelShape, int]:
    """Shape and trained context of a config.json, whose language model may be nested in `text_config`."""
    if not isinstance(config, dict):
        raise InvalidRequest("plan.unreadable_model", "a config.json must contain an object")
    outer = cast("dict[str, Any]", config)
    text = {**outer, **_nested(outer, "text_config")}
    audio = _nested(outer, "audio_config")
    shape = ModelShape(
        decoder=_stack(text),
        vocabulary=_number(text, "vocab_size"),
        tied=bool(text.get("tie_word_embeddings", False)),
        encoder=_stack(audio) if audio else None,
        encoder_steps_at_once=int(audio.get("max_source_positions", CLIP_STEPS)) if audio else 0,
    )
    return shape, int(text.get("max_position_embeddings") or 0)


def _stack(config: Mapping[str, Any]) -> TransformerStack:
    hidden, heads = _number(config, "hidden_size"), _number(config, "num_attention_heads")
    # Whisper encoders have two feed-forward matrices, which no key of the config states.
    gated = "max_source_positions" not in config
    return TransformerStack(
        layers=_number(config, "num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_dim=int(config.get("head_dim") or hidden // heads),
        feed_forward=_number(config, "intermediate_size"),
        gated=gated,
        feed_forwards=int(config.get("num_local_experts") or config.get("num_experts") or 1),
    )


def _nested(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    inner = config.get(key)
    return cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}


def _number(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or value <= 0:
        raise InvalidRequest("plan.unreadable_model", f"the config.json has no valid {key}")
    return value
