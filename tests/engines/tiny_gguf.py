"""Writes a llama model of a few thousand random weights as a GGUF file, with a tokenizer of bytes.

The layout is that of GGUF version 3 (ggml's docs/gguf.md): header, metadata, tensor descriptions, aligned data.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

_ALIGNMENT = 32
_UINT32, _FLOAT32, _STRING, _ARRAY = 4, 6, 8, 9
_INT32 = 5
_TENSOR_F32 = 0
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_WIDTH, _FEED_FORWARD, _HEADS = 32, 64, 2
# Begins with the notes, as Qwen's template does.
CHAT_TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}</{{ message.role }}>{% endfor %}<assistant>"
)


def write_tiny_gguf(path: Path, seed: int = 0) -> Path:
    """Write the model to `path`; returns it."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *map(chr, range(32, 127))]
    kinds = [_UNKNOWN, _CONTROL, _CONTROL, *[_BYTE] * 256, *[_NORMAL] * 95]
    metadata = [
        ("general.architecture", _string("llama")),
        ("llama.context_length", _uint32(4096)),
        ("llama.embedding_length", _uint32(_WIDTH)),
        ("llama.block_count", _uint32(1)),
        ("llama.feed_forward_length", _uint32(_FEED_FORWARD)),
        ("llama.attention.head_count", _uint32(_HEADS)),
        ("llama.attention.head_count_kv", _uint32(_HEADS)),
        ("llama.rope.dimension_count", _uint32(_WIDTH // _HEADS)),
        ("llama.attention.layer_norm_rms_epsilon", struct.pack("<If", _FLOAT32, 1e-5)),
        ("llama.vocab_size", _uint32(len(tokens))),
        ("tokenizer.ggml.model", _string("llama")),
        ("tokenizer.ggml.tokens", _array(_STRING, [_text(token) for token in tokens])),
        ("tokenizer.ggml.scores", _array(_FLOAT32, [struct.pack("<f", -float(i)) for i in range(len(tokens))])),
        ("tokenizer.ggml.token_type", _array(_INT32, [struct.pack("<i", kind) for kind in kinds])),
        ("tokenizer.ggml.unknown_token_id", _uint32(0)),
        ("tokenizer.ggml.bos_token_id", _uint32(1)),
        ("tokenizer.ggml.eos_token_id", _uint32(2)),
        ("tokenizer.chat_template", _string(CHAT_TEMPLATE)),
    ]
    tensors = _tensors(len(tokens), np.random.default_rng(seed))
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata))
    head += b"".join(_text(key) + value for key, value in metadata)
    data = b""
    for name, values in tensors.items():
        # Dimensions are written from the innermost outwards.
        shape = values.shape[::-1]
        head += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, _TENSOR_F32, len(data))
        data += _padded(values.tobytes())
    path.write_bytes(_padded(head) + data)
    return path


def _tensors(vocabulary: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    def matrix(rows: int, columns: int) -> np.ndarray:
        return random.normal(0, 0.2, (rows, columns)).astype("<f4")

    ones = np.ones(_WIDTH, "<f4")
    square = {f"blk.0.{name}.weight": matrix(_WIDTH, _WIDTH) for name in ("attn_q", "attn_k", "attn_v", "attn_output")}
    return {
        "token_embd.weight": matrix(vocabulary, _WIDTH),
        "output_norm.weight": ones,
        "output.weight": matrix(vocabulary, _WIDTH),
        "blk.0.attn_norm.weight": ones,
        **square,
        "blk.0.ffn_norm.weight": ones,
        "blk.0.ffn_gate.weight": matrix(_FEED_FORWARD, _WIDTH),
        "blk.0.ffn_up.weight": matrix(_FEED_FORWARD, _WIDTH),
        "blk.0.ffn_down.weight": matrix(_WIDTH, _FEED_FORWARD),
    }


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _string(value: str) -> bytes:
    return struct.pack("<I", _STRING) + _text(value)


def _uint32(value: int) -> bytes:
    return struct.pack("<II", _UINT32, value)


def _array(kind: int, items: list[bytes]) -> bytes:
    return struct.pack("<IIQ", _ARRAY, kind, len(items)) + b"".join(items)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % _ALIGNMENT)
