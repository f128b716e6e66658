"""Fixtures for plans."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.ladder import Planner
from anchor_cli.plan.overrides import build_planner
from gguf_files import PAIRS, TENSORS, pair, tensor

CATALOGUE = read_catalogue()


@pytest.fixture
def planner() -> Planner:
    return build_planner(CATALOGUE, [], None)


@pytest.fixture
def gguf(tmp_path: Path) -> Callable[..., Path]:
    def write(
        pairs: Mapping[str, int | str | list[str]] = PAIRS,
        tensors: list[tuple[str, tuple[int, ...], int]] = TENSORS,
        version: int = 3,
    ) -> Path:
        path = tmp_path / "tiny.gguf"
        head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs))
        body = [pair(key, value) for key, value in pairs.items()] + [tensor(*entry) for entry in tensors]
        path.write_bytes(head + b"".join(body))
        return path

    return write
