"""Reads the headers of safetensors files, without their weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service_kit.errors import EngineFailed

# Maximum header length of the safetensors library.
_MAX_HEADER_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class WeightsHeader:
    """The tensors' names, and the bytes that the whole file must have."""

    names: tuple[str, ...]
    whole_bytes: int


def read_weights_header(path: Path) -> WeightsHeader:
    """Read the header of `path`. Raises `EngineFailed` (`models.unreadable`) for a file that has none."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= _MAX_HEADER_BYTES:
                raise ValueError(f"its header would have {length} bytes")
            entries: Mapping[str, Any] = json.loads(file.read(length))
        tensors = {name: entry for name, entry in entries.items() if name != "__metadata__"}
        ends = [int(entry["data_offsets"][1]) for entry in tensors.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EngineFailed("models.unreadable", f"{path} is no safetensors file: {error}") from error
    return WeightsHeader(tuple(tensors), 8 + length + max(ends, default=0))


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model's folder, in order."""
    return sorted(folder.glob("*.safetensors"))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises `EngineFailed` (`models.unreadable`) when the file is missing or holds something else."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EngineFailed("models.unreadable", f"cannot read {path}: {error}") from error
    if not isinstance(value, dict):
        raise EngineFailed("models.unreadable", f"{path} is no JSON object")
    return value
