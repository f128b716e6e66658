"""Formats recognised by their first bytes."""

from __future__ import annotations

import struct

import pytest
from anchor_cli.model_store.weights_format import check_format
from service_kit.errors import EngineFailed


@pytest.mark.parametrize(
    ("path", "head"),
    [
        ("a.safetensors", struct.pack("<Q", 0x010280) + b"{"),
        ("a.gguf", b"GGUF\3\0\0\0"),
        ("a.onnx", b"\x08\x08\x12\x07pytorch"),
        ("a.json", b"\n  {}"),
        ("model.bin", b"\x06\0\0\0\x0c\0WhisperSpe"),
        ("vocabulary.txt", b'!\n"\n#\n'),
    ],
)
def test_each_format_is_recognised(path: str, head: bytes) -> None:
    check_format(path, head)


@pytest.mark.parametrize(
    ("path", "head"),
    [
        ("a.safetensors", b"\xff" * 8 + b"{"),
        ("a.safetensors", b"PK\x03\x04" + bytes(12)),
        ("a.gguf", b"GGML"),
        ("a.onnx", b"\x80\x02}"),
        ("a.json", b"import os"),
        ("a.bin", b"GGUF"),
        ("a.json", b""),
        ("model.bin", b"\x80\x02}q\0(X\x01"),
        ("model.bin", b"PK\x03\x04\x14\0\x08\x08"),
        ("model.bin", b"\x06\0\0\0\xff\xffWhisperSpe"),
        ("model.bin", b"\x06\0\0\0\x0c\0../../../."),
        ("model.bin", b""),
        ("vocabulary.txt", b"a\0b"),
        ("vocabulary.txt", b"PK\x03\x04"),
    ],
)
def test_other_content_is_rejected(path: str, head: bytes) -> None:
    with pytest.raises(EngineFailed, match="does not have the format of its name"):
        check_format(path, head)
