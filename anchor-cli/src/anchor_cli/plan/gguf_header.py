"""Reads the header of a GGUF file: metadata and the stored size of each tensor, without the weights."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from service_kit.errors import InvalidRequest

from anchor_cli.plan.weights import block_bytes

# ggml's type numbers, for the supported block types.
TYPE_NAMES: Final[Mapping[int, str]] = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    6: "Q5_0",
    7: "Q5_1",
    8: "Q8_0",
    10: "Q2_K",
    11: "Q3_K",
    12: "Q4_K",
    13: "Q5_K",
    14: "Q6_K",
    20: "IQ4_NL",
    21: "IQ3_S",
    23: "IQ4_XS",
    30: "BF16",
}
SCALARS: Final[Mapping[int, str]] = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
STRING, ARRAY = 8, 9
# Far above the lengths in any model; a greater length means a damaged file.
MAX_TEXT_BYTES = 16 * 2**20
MAX_ENTRIES = 4_000_000

Value = int | float | bool | str | list["Value"]


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Metadata by key, and bytes by tensor name."""

    values: Mapping[str, Value]
    tensor_bytes: Mapping[str, int]

    def number(self, key: str, default: int | None = None) -> int:
        """An architecture value, such as `block_count`. Raises `InvalidRequest` (`plan.unreadable_model`)."""
        value = self.values.get(f"{self.values.get('general.architecture', '')}.{key}", default)
        if isinstance(value, list):
            # A value per layer; the largest is an upper bound.
            value = max((entry for entry in value if isinstance(entry, int)), default=default)
        if not isinstance(value, int):
            raise _unreadable(f"it has no {key}")
        return value


def read_gguf_header(path: Path) -> GgufHeader:
    """Read the header of `path`.

    Raises `InvalidRequest` (`plan.unreadable_model`, `plan.unknown_precision`), and `OSError`.
    """
    with path.open("rb") as file:
        try:
            return _header(file)
        except (struct.error, UnicodeDecodeError) as error:
            raise _unreadable("it is truncated or damaged") from error


def _header(file: BinaryIO) -> GgufHeader:
    if file.read(4) != b"GGUF":
        raise _unreadable("it is not a GGUF file")
    version = _scalar(file, "<I")
    if version not in {2, 3}:
        raise _unreadable(f"its version is {version}, not 2 or 3")
    tensors, pairs = _count(file), _count(file)
    values: dict[str, Value] = {}
    for _ in range(pairs):
        key = _text(file)
        values[key] = _value(file, _scalar(file, "<I"))
    return GgufHeader(values, dict(_tensor(file) for _ in range(tensors)))


def _tensor(file: BinaryIO) -> tuple[str, int]:
    name = _text(file)
    dimensions = _scalar(file, "<I")
    if dimensions > 8:
        raise _unreadable(f"its tensor {name[:80]!r} has {dimensions} dimensions")
    count = math.prod(_scalar(file, "<Q") for _ in range(dimensions))
    kind = _scalar(file, "<I")
    _scalar(file, "<Q")
    return name, block_bytes(TYPE_NAMES.get(kind, f"number {kind}"), count)


def _value(file: BinaryIO, kind: int) -> Value:
    if kind == STRING:
        return _text(file)
    if kind == ARRAY:
        entry = _scalar(file, "<I")
        if entry == ARRAY:
            raise _unreadable("it has nested arrays")
        return [_value(file, entry) for _ in range(_count(file))]
    if kind not in SCALARS:
        raise _unreadable(f"it has a value of unknown type {kind}")
    return _scalar(file, SCALARS[kind])


def _scalar(file: BinaryIO, layout: str) -> int:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))[0]


def _count(file: BinaryIO) -> int:
    count = _scalar(file, "<Q")
    if count > MAX_ENTRIES:
        raise _unreadable(f"it declares {count} entries")
    return count


def _text(file: BinaryIO) -> str:
    length = _scalar(file, "<Q")
    if length > MAX_TEXT_BYTES:
        raise _unreadable(f"it declares a string of {length} bytes")
    raw = file.read(length)
    if len(raw) < length:
        raise _unreadable("it is truncated or damaged")
    return raw.decode()


def _unreadable(why: str) -> InvalidRequest:
    return InvalidRequest("plan.unreadable_model", f"the model file cannot be used: {why}")
