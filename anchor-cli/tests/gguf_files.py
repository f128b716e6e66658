"""Builds small GGUF files."""

from __future__ import annotations

import struct
from collections.abc import Mapping

U32, TEXT, ARRAY = 4, 8, 9


F32, Q4_K = 0, 12


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def pair(key: str, value: int | str | list[str]) -> bytes:
    match value:
        case int():
            return text(key) + struct.pack("<II", U32, value)
        case str():
            return text(key) + struct.pack("<I", TEXT) + text(value)
        case list():
            entries = b"".join(text(entry) for entry in value)
            return text(key) + struct.pack("<IIQ", ARRAY, TEXT, len(value)) + entries


def tensor(name: str, shape: tuple[int, ...], kind: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, 0)


PAIRS: Mapping[str, int | str | list[str]] = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "llama.block_count": 2,
    "llama.embedding_length": 512,
    "llama.feed_forward_length": 1024,
    "llama.attention.head_count": 8,
    "llama.attention.head_count_kv": 2,
    "llama.context_length": 4096,
    "tokenizer.ggml.tokens": ["a", "b", "c"],
}


TENSORS = [("token_embd.weight", (512, 3), Q4_K), ("output_norm.weight", (512,), F32)]
