"""Generators of hostile bytes, texts, JSON values and protobuf messages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from choices import Choices
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

# Limits of integer types, and numbers that sizes and counts are compared with.
INTEGERS = (0, 1, 2, 7, 8, 16, 127, 255, 256, 1000, 8000, 16_000, 48_000, 65_535, 65_536, 2**24, 2**31 - 1, 2**31)
WIDE_INTEGERS = (*INTEGERS, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 10**30)
FLOATS = (0.0, 1.0, 0.5, -1.0, 2.0, 1e-9, 1e9, 1e300, -1e300, float("nan"), float("inf"), float("-inf"))
TEXTS = (
    *("", "en", "a", "auto", "anchor", "hello there.", "DE-de", " ", "x" * 300, "x" * 9_000, "ß🙂é", "\u0301" * 40),
    *("\0", "\x1b[31mred", "one\r\ntwo", "\x85next", "\u2028line", "\u202eright to left", "\ufeff", "\x7f", "\x9b31m"),
    *("%s%n{0}{x}", "../../etc/passwd", "file:///etc/passwd", "'; --", "<script>", "null", "NaN", "-0", "\uffff"),
)
# Only a JSON escape and a Python string can hold it: UTF-8 cannot.
HALF_CHARACTER = "\ud83d"


def text_of(choices: Choices) -> str:
    """Return a text without half characters."""
    if choices.chance(4):
        return choices.raw(choices.below(24)).decode("utf-8", "replace")
    return "".join(choices.one_of(TEXTS) for _ in range(1 + choices.below(3)))


def mutate(choices: Choices, seed: bytes, seeds: Sequence[bytes] = ()) -> bytes:
    """Change `seed` in one to eight places; pieces of `seeds` may be spliced in."""
    data = bytearray(seed)
    for _ in range(1 + choices.below(8)):
        at = choices.below(len(data) + 1)
        match choices.below(9):
            case 0:
                data[at : at + 1] = choices.raw(1)
            case 1 if at < len(data):
                data[at] ^= 1 << choices.below(8)
            case 2:
                del data[at : at + 1 + choices.below(16)]
            case 3:
                data[at:at] = choices.raw(1 + choices.below(8))
            case 4:
                size = choices.one_of((1, 2, 4, 8))
                number = choices.one_of(WIDE_INTEGERS) % 2 ** (8 * size)
                data[at : at + size] = number.to_bytes(size, choices.one_of(("little", "big")))
            case 5:
                data[at:at] = data[at : at + 1 + choices.below(64)] * (1 + choices.below(40))
            case 6:
                del data[at:]
            case 7 if seeds:
                other = choices.one_of(seeds)
                start = choices.below(len(other) + 1)
                data[at:at] = other[start : start + choices.below(256)]
            case _:
                data[at:at] = choices.one_of(TEXTS).encode("utf-8", "replace")
    return bytes(data)


def mutated_seed(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return one of `seeds`, changed."""
    return mutate(choices, choices.one_of(seeds) if seeds else b"", seeds)


def json_value(choices: Choices, depth: int = 3) -> Any:
    """Return any JSON value, and some that only Python's own dialect has."""
    match choices.below(9 if depth else 6):
        case 0:
            return text_of(choices)
        case 1:
            return choices.one_of(WIDE_INTEGERS) * choices.one_of((1, -1))
        case 2:
            return choices.one_of(FLOATS)
        case 3:
            return choices.one_of((True, False, None))
        case 4:
            return text_of(choices) + HALF_CHARACTER
        case 5:
            return int("9" * (1 + choices.below(60)))
        case 6:
            return [json_value(choices, depth - 1) for _ in range(choices.below(4))]
        case 7:
            return {text_of(choices)[:60]: json_value(choices, depth - 1) for _ in range(choices.below(4))}
        case _:
            return _nested(choices.one_of((50, 1_000)))


def _nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


def to_json(choices: Choices, value: Any) -> str:
    """Write `value` as JSON, or nearly."""
    try:
        written = json.dumps(value, ensure_ascii=True)
    except RecursionError:
        written = "[" * 2_000
    if choices.chance(8):
        return mutate(choices, written.encode()).decode("utf-8", "replace")
    # Deeper than a parser's recursion; a string, since Python's own writer does not write it.
    return written.replace('"hello there."', "[" * 40_000, 1) if choices.chance(64) else written


def change_fields(choices: Choices, fields: dict[str, Any]) -> dict[str, Any]:
    """Change the fields of a JSON object: other values, missing and additional ones."""
    changed = dict(fields)
    for name in fields:
        match choices.below(8):
            case 5:
                changed[name] = json_value(choices)
            case 6:
                changed[name] = text_of(choices)
            case 7:
                del changed[name]
            case _:
                pass
    if choices.chance(8):
        changed[text_of(choices)[:60]] = json_value(choices)
    return changed


def fill_message(choices: Choices, message: Message, depth: int = 4) -> None:
    """Set fields of a protobuf message: each with a chance of one in two, and one of each `oneof`."""
    chosen = {
        union.fields[choices.below(len(union.fields))].name
        for union in message.DESCRIPTOR.oneofs
        if len(union.fields) > 1
    }
    for field in message.DESCRIPTOR.fields:
        alternatives = field.containing_oneof is not None and len(field.containing_oneof.fields) > 1
        if field.name in chosen or (not alternatives and choices.chance(2)):
            _fill_field(choices, message, field, depth)


def _fill_field(choices: Choices, message: Message, field: FieldDescriptor, depth: int) -> None:
    inner = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        getattr(message, field.name).update({_well_formed(choices)[:60]: _well_formed(choices) for _ in range(2)})
    elif inner is not None and field.is_repeated:
        for _ in range(choices.below(5) if depth else 0):
            fill_message(choices, getattr(message, field.name).add(), depth - 1)
    elif inner is not None:
        getattr(message, field.name).SetInParent()
        if depth:
            fill_message(choices, getattr(message, field.name), depth - 1)
    elif field.is_repeated:
        getattr(message, field.name).extend(_scalar(choices, field) for _ in range(choices.below(4)))
    else:
        setattr(message, field.name, _scalar(choices, field))


def _well_formed(choices: Choices) -> str:
    return text_of(choices).encode("utf-8", "replace").decode()


def _scalar(choices: Choices, field: FieldDescriptor) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return choices.raw(choices.one_of((0, 2, 64, 640, 1_024, 3, 9_000)))
        case FieldDescriptor.CPPTYPE_STRING:
            return _well_formed(choices)
        case FieldDescriptor.CPPTYPE_BOOL:
            return choices.chance(2)
        case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
            return choices.one_of(FLOATS)
        case FieldDescriptor.CPPTYPE_ENUM:
            return choices.one_of((0, 1, 2, 99, 2**31 - 1))
        case FieldDescriptor.CPPTYPE_INT32:
            return choices.one_of(INTEGERS) % 2**31 * choices.one_of((1, -1))
        case FieldDescriptor.CPPTYPE_INT64:
            return choices.one_of(WIDE_INTEGERS) % 2**63 * choices.one_of((1, -1))
        case FieldDescriptor.CPPTYPE_UINT32:
            return choices.one_of((*INTEGERS, 16_000, 2**32 - 1)) % 2**32
        case _:
            return choices.one_of(WIDE_INTEGERS) % 2**64
