"""Converts session messages between their dataclass, their JSON text frame and their protobuf message.

Client messages, which have no repeated fields, are parsed; server messages are written. The table in
`message_schema`, read from the proto's descriptors, serves both encodings. `json_format` is not used because this codec
names the wrong field, accepts no lenient spellings, and is about three times as fast, which counts because every word
of a transcript and of a reply passes here.
"""

from __future__ import annotations

import json
import math
from enum import IntEnum
from typing import Any, NoReturn, cast

from anchor.session.v1 import session_pb2
from google.protobuf.descriptor import FieldDescriptor
from service_kit.errors import InvalidRequest
from service_kit.safe_text import escape_control

from orchestrator.api.wire.message_schema import CLIENT, SERVER, SERVER_NAMES, Field, MessageShape
from orchestrator.conversation.messages.client import ClientMessage
from orchestrator.conversation.messages.server import ServerMessage

_INTEGER_RANGES = {
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
}


def _refuse(reason: str) -> NoReturn:
    raise InvalidRequest("session.bad_message", reason)


# ---------------------------------------------------------------------------------------------------------------
# JSON


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def client_from_json(text: str, max_text_chars: int) -> ClientMessage:
    """Parse a client's text frame, whose strings have at most `max_text_chars` characters.

    Raises `InvalidRequest`, which names the wrong field.
    """
    try:
        frame = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("session.bad_message", "the message is not JSON") from error
    if not isinstance(frame, dict):
        _refuse("the message is not a JSON object")
    values = cast(dict[str, Any], frame)
    name = values.get("type")
    shape = CLIENT.get(name) if isinstance(name, str) else None
    if shape is None:
        _refuse(f"type: unknown message {str(name)[:40]!r}")
    return cast(ClientMessage, _from_json(shape, values, f"{name}.", max_text_chars))


def server_to_json(message: ServerMessage) -> str:
    """The text frame of `message`, without absent optional fields. Raises `TypeError` for audio."""
    return _ENCODER.encode({"type": SERVER_NAMES[type(message)], **as_fields(message)})


def as_fields(message: ServerMessage) -> dict[str, Any]:
    """The fields of `message` as JSON values, without its type and absent optional fields."""
    return _to_json(SERVER[SERVER_NAMES[type(message)]], message)


def _to_json(shape: MessageShape, message: object) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in shape.fields:
        value = getattr(message, field.name)
        if value is None:
            continue
        if field.shape is not None:
            inner = field.shape
            value = [_to_json(inner, item) for item in value] if field.repeated else _to_json(inner, value)
        elif field.choices is not None:
            value = value.name
        elif field.kind == FieldDescriptor.TYPE_STRING:
            value = _texts(field, value)
        elif field.kind == FieldDescriptor.TYPE_BYTES:
            raise TypeError("audio travels in binary frames, not in JSON")
        values[field.name] = value
    return values


def _texts(field: Field, value: Any) -> str | list[str]:
    return [_well_formed(text) for text in value] if field.repeated else _well_formed(value)


def _well_formed(text: str) -> str:
    """`text` with `?` for lone surrogates, which UTF-8 cannot encode; a language model may cut an emoji in half."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _from_json(shape: MessageShape, values: dict[str, Any], path: str, max_text_chars: int) -> Any:
    if not values.keys() <= shape.names:
        unknown = min(values.keys() - shape.names)
        _refuse(f"{path}{escape_control(unknown[:40])}: no such field")
    parsed: dict[str, Any] = {}
    for field in shape.fields:
        value = values.get(field.name)
        if value is not None:
            parsed[field.name] = _value(field, value, path + field.name, max_text_chars)
        elif field.required:
            _refuse(f"{path}{field.name}: missing")
        elif field.name in values and not field.optional:
            _refuse(f"{path}{field.name}: must not be null")
    return shape.make(**parsed)


def _value(field: Field, value: Any, path: str, max_text_chars: int) -> Any:
    kind = field.kind
    if kind == FieldDescriptor.TYPE_STRING:
        if not isinstance(value, str):
            _refuse(f"{path}: must be a string")
        return _text(value, path, max_text_chars)
    if kind == FieldDescriptor.TYPE_BOOL:
        return value if isinstance(value, bool) else _refuse(f"{path}: must be true or false")
    if kind in _INTEGER_RANGES:
        low, high = _INTEGER_RANGES[kind]
        if type(value) is not int or not low <= value <= high:
            _refuse(f"{path}: must be an integer from {low} to {high}")
        return value
    if kind == FieldDescriptor.TYPE_FLOAT:
        if type(value) not in (int, float):
            _refuse(f"{path}: must be a number")
        return _number(value, path)
    if field.choices is not None:
        if not isinstance(value, str) or value not in field.choices.__members__:
            _refuse(f"{path}: must be one of {', '.join(field.choices.__members__)}")
        return field.choices[value]
    if field.shape is not None:
        if not isinstance(value, dict):
            _refuse(f"{path}: must be an object")
        return _from_json(field.shape, cast(dict[str, Any], value), f"{path}.", max_text_chars)
    _refuse(f"{path}: audio travels in binary frames")


def _text(value: str, path: str, max_text_chars: int) -> str:
    if len(value) > max_text_chars:
        _refuse(f"{path}: longer than {max_text_chars} characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest("session.bad_message", f"{path}: lone surrogate") from error
    return value


def _number(value: float, path: str) -> float:
    try:
        number = float(value)
    except OverflowError as error:
        raise InvalidRequest("session.bad_message", f"{path}: must be a finite number") from error
    return number if math.isfinite(number) else _refuse(f"{path}: must be a finite number")


# ---------------------------------------------------------------------------------------------------------------
# Protobuf


def client_from_proto(message: session_pb2.ClientMessage, max_text_chars: int) -> ClientMessage:
    """Convert a gRPC client's message, whose strings have at most `max_text_chars` characters.

    Raises `InvalidRequest`, which names the wrong field.
    """
    name = message.WhichOneof("message")
    if name is None:
        _refuse("the message is empty, or of a newer kind")
    return cast(ClientMessage, _from_proto(CLIENT[name], getattr(message, name), f"{name}.", max_text_chars))


def server_to_proto(message: ServerMessage) -> session_pb2.ServerMessage:
    """Convert `message` for a gRPC client."""
    name = SERVER_NAMES[type(message)]
    return session_pb2.ServerMessage(**{name: _to_proto(SERVER[name], message)})


def _to_proto(shape: MessageShape, message: object) -> dict[str, Any]:
    """Constructor arguments of the protobuf class, which accepts a dict for every message field."""
    values: dict[str, Any] = {}
    for field in shape.fields:
        value = getattr(message, field.name)
        if value is None:
            continue
        if field.shape is not None:
            inner = field.shape
            value = [_to_proto(inner, item) for item in value] if field.repeated else _to_proto(inner, value)
        elif field.kind == FieldDescriptor.TYPE_STRING:
            value = _texts(field, value)
        values[field.name] = value
    return values


def _from_proto(shape: MessageShape, message: Any, path: str, max_text_chars: int) -> Any:
    parsed: dict[str, Any] = {}
    for field in shape.fields:
        value = getattr(message, field.name)
        if field.optional and not message.HasField(field.name):
            value = None
        elif field.shape is not None:
            value = _from_proto(field.shape, value, f"{path}{field.name}.", max_text_chars)
        elif field.choices is not None:
            value = _choice(field.choices, value, path + field.name)
        elif field.kind == FieldDescriptor.TYPE_STRING and len(value) > max_text_chars:
            _refuse(f"{path}{field.name}: longer than {max_text_chars} characters")
        elif field.kind == FieldDescriptor.TYPE_FLOAT and not math.isfinite(value):
            _refuse(f"{path}{field.name}: must be a finite number")
        parsed[field.name] = value
    return shape.make(**parsed)


def _choice(choices: type[IntEnum], number: int, path: str) -> IntEnum:
    try:
        return choices(number)
    except ValueError as error:
        raise InvalidRequest("session.bad_message", f"{path}: unknown value {number}") from error
