"""Headers of GGUF files, intact and damaged."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from anchor_cli.plan.gguf_header import read_gguf_header
from service_kit.errors import InvalidRequest

# (start, end, replacement bytes, words of the error)
DAMAGE = [
    (0, 4, b"GGML", "not a GGUF file"),
    (40, None, b"", "truncated"),
    (-3, None, b"", "truncated"),
    (4, 8, struct.pack("<I", 1), "version is 1"),
    (16, 24, struct.pack("<Q", 2**40), "entries"),
    (24, 32, struct.pack("<Q", 2**60), "string of"),
]


@pytest.mark.parametrize(("start", "end", "damage", "words"), DAMAGE)
def test_damaged_gguf_file_is_rejected(
    gguf: Callable[..., Path], start: int, end: int | None, damage: bytes, words: str
) -> None:
    path = gguf()
    raw = bytearray(path.read_bytes())
    raw[start:end] = damage
    path.write_bytes(raw)
    with pytest.raises(InvalidRequest, match=words):
        read_gguf_header(path)


def test_unknown_block_type_is_rejected(gguf: Callable[..., Path]) -> None:
    with pytest.raises(InvalidRequest, match="number 39"):
        read_gguf_header(gguf(tensors=[("x", (256,), 39)]))


def test_truncated_string_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 9) + b"gener")
    with pytest.raises(InvalidRequest, match="truncated"):
        read_gguf_header(path)
