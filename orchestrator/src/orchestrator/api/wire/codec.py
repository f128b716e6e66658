"""The messages of a session on the wire: dataclass ⇄ member of the proto's `oneof` ⇄ JSON text frame.

One table, made from the proto's descriptors, serves both encodings. The codec is ours, and not
`json_format`, for three reasons: it names the field that is wrong, takes no lenient spellings, and is some
three times as fast, which counts because every word of a transcript and of a reply passes here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NoReturn, cast

from anchor.session.v1 import session_pb2
from google.protobuf.descriptor import FieldDescriptor
from service_kit.errors import InvalidRequest

from orchestrator.api.wire.message_schema import CLIENT, CLIENT_NAMES, SERVER, SERVER_NAMES, Field, MessageShape
from orchestrator.conversation.messages.client import ClientMessage
from orchestrator.conversation.messages.server import ServerMessage

_WHOLE_NUMBERS = {
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
}


def _refuse(reason: str) -> NoReturn:
    raise InvalidRequest("session.bad_message", reason)


# ---------------------------------------------------------------------------------------------------------------
# JSON


def _not_a_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_not_a_number)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def client_from_json(text: str, max_text_chars: int) -> ClientMessage:
    """What a text frame of a client says. Raises `InvalidRequest`, naming the field that is wrong."""
    return cast(ClientMessage, _from_json(CLIENT, text, max_text_chars))


def server_from_json(text: str) -> ServerMessage:
    """What a text frame of the server says, for clients in Python. Raises `InvalidRequest`."""
    return cast(ServerMessage, _from_json(SERVER, text, max_text_chars=len(text)))


def server_to_json(message: ServerMessage) -> str:
    """The text frame that says `message`; absent optional fields are left out."""
    return _to_json(SERVER, SERVER_NAMES[type(message)], message)


def client_to_json(message: ClientMessage) -> str:
    """The text frame that says `message`, for clients in Python."""
    return _to_json(CLIENT, CLIENT_NAMES[type(message)], message)


def as_fields(message: ServerMessage) -> dict[str, Any]:
    """The fields of `message` as JSON values, without its type."""
    return _values(SERVER[SERVER_NAMES[type(message)]], message)


def _to_json(members: Mapping[str, MessageShape], name: str, message: object) -> str:
    return _ENCODER.encode({"type": name, **_values(members[name], message)})


def _values(shape: MessageShape, message: object) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in shape.fields:
        value = getattr(message, field.name)
        if value is None:
            continue
        if field.shape is not None:
            inner = field.shape
            value = [_values(inner, item) for item in value] if field.repeated else _values(inner, value)
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
    """`text` without lone surrogates, which no wire can carry; a language model may cut an emoji in half."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _from_json(members: Mapping[str, MessageShape], text: str, max_text_chars: int) -> Any:
    try:
        frame = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("session.bad_message", "the message is not JSON") from error
    if not isinstance(frame, dict):
        _refuse("the message is not a JSON object")
    values = cast(dict[str, Any], frame)
    name = values.get("type")
    shape = members.get(name) if isinstance(name, str) else None
    if shape is None:
        _refuse(f"type: no message is called {str(name)[:40]!r}")
    return _parse(shape, values, f"{name}.", max_text_chars)


def _parse(shape: MessageShape, values: dict[str, Any], place: str, max_text_chars: int) -> Any:
    if not values.keys() <= shape.names:
        unknown = min(values.keys() - shape.names)
        _refuse(f"{place}{unknown[:40]}: no such field")
    parsed: dict[str, Any] = {}
    for field in shape.fields:
        value = values.get(field.name)
        if value is None:
            if field.required and not field.repeated:
                _refuse(f"{place}{field.name}: missing")
            if field.name in values and not field.optional:
                _refuse(f"{place}{field.name}: must not be null")
        if field.repeated:
            parsed[field.name] = _items(field, value, place, max_text_chars)
        elif value is not None:
            parsed[field.name] = _value(field, value, place + field.name, max_text_chars)
    return shape.make(**parsed)


def _items(field: Field, value: Any, place: str, max_text_chars: int) -> tuple[Any, ...]:
    if not isinstance(value, list):
        _refuse(f"{place}{field.name}: must be a list")
    items = cast(list[Any], value)
    return tuple(_value(field, item, f"{place}{field.name}", max_text_chars) for item in items)


def _value(field: Field, value: Any, place: str, max_text_chars: int) -> Any:
    kind = field.kind
    if kind == FieldDescriptor.TYPE_STRING:
        if not isinstance(value, str):
            _refuse(f"{place}: must be text")
        return _text(value, place, max_text_chars)
    if kind == FieldDescriptor.TYPE_BOOL:
        return value if isinstance(value, bool) else _refuse(f"{place}: must be true or false")
    if kind in _WHOLE_NUMBERS:
        low, high = _WHOLE_NUMBERS[kind]
        if type(value) is not int or not low <= value <= high:
            _refuse(f"{place}: must be a whole number from {low} to {high}")
        return value
    if kind == FieldDescriptor.TYPE_FLOAT:
        if type(value) not in (int, float):
            _refuse(f"{place}: must be a number")
        return _number(value, place)
    if field.choices is not None:
        if not isinstance(value, str) or value not in field.choices.__members__:
            _refuse(f"{place}: must be one of {', '.join(field.choices.__members__)}")
        return field.choices[value]
    if field.shape is not None:
        if not isinstance(value, dict):
            _refuse(f"{place}: must be an object")
        return _parse(field.shape, cast(dict[str, Any], value), f"{place}.", max_text_chars)
    _refuse(f"{place}: audio travels in binary frames")


def _text(value: str, place: str, max_text_chars: int) -> str:
    if len(value) > max_text_chars:
        _refuse(f"{place}: longer than {max_text_chars} characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest("session.bad_message", f"{place}: half of a surrogate pair") from error
    return value


def _number(value: float, place: str) -> float:
    try:
        number = float(value)
    except OverflowError as error:
        raise InvalidRequest("session.bad_message", f"{place}: must be a finite number") from error
    return number if math.isfinite(number) else _refuse(f"{place}: must be a finite number")


# ---------------------------------------------------------------------------------------------------------------
# Proto


def client_from_proto(message: session_pb2.ClientMessage, max_text_chars: int) -> ClientMessage:
    """What a gRPC client says. Raises `InvalidRequest`, naming the field that is wrong."""
    name = message.WhichOneof("message")
    if name is None:
        _refuse("the message is empty, or of a newer kind")
    return cast(ClientMessage, _from_proto(CLIENT[name], getattr(message, name), f"{name}.", max_text_chars))


def server_from_proto(message: session_pb2.ServerMessage) -> ServerMessage:
    """What the server says, for clients in Python. Raises `InvalidRequest`."""
    name = message.WhichOneof("message")
    if name is None:
        _refuse("the message is empty, or of a newer kind")
    return cast(ServerMessage, _from_proto(SERVER[name], getattr(message, name), f"{name}.", None))


def server_to_proto(message: ServerMessage) -> session_pb2.ServerMessage:
    """`message` for a gRPC client."""
    name = SERVER_NAMES[type(message)]
    return session_pb2.ServerMessage(**{name: _proto_values(SERVER[name], message)})


def client_to_proto(message: ClientMessage) -> session_pb2.ClientMessage:
    """`message` for the server, for clients in Python."""
    name = CLIENT_NAMES[type(message)]
    return session_pb2.ClientMessage(**{name: _proto_values(CLIENT[name], message)})


def _proto_values(shape: MessageShape, message: object) -> dict[str, Any]:
    """Constructor arguments of a generated class, which takes a dict wherever it takes a message."""
    values: dict[str, Any] = {}
    for field in shape.fields:
        value = getattr(message, field.name)
        if value is None:
            continue
        if field.shape is not None:
            inner = field.shape
            value = [_proto_values(inner, item) for item in value] if field.repeated else _proto_values(inner, value)
        elif field.kind == FieldDescriptor.TYPE_STRING:
            value = _texts(field, value)
        values[field.name] = value
    return values


def _from_proto(shape: MessageShape, message: Any, place: str, max_text_chars: int | None) -> Any:
    parsed: dict[str, Any] = {}
    for field in shape.fields:
        value = getattr(message, field.name)
        if field.optional and not message.HasField(field.name):
            value = None
        elif field.shape is not None:
            inner = field.shape
            at = f"{place}{field.name}."
            if field.repeated:
                value = tuple(_from_proto(inner, item, at, max_text_chars) for item in value)
            else:
                value = _from_proto(inner, value, at, max_text_chars)
        elif field.choices is not None:
            value = _choice(field.choices, value, place + field.name)
        elif field.repeated:
            value = tuple(value)
        elif field.kind == FieldDescriptor.TYPE_STRING and max_text_chars is not None and len(value) > max_text_chars:
            _refuse(f"{place}{field.name}: longer than {max_text_chars} characters")
        elif field.kind == FieldDescriptor.TYPE_FLOAT and not math.isfinite(value):
            _refuse(f"{place}{field.name}: must be a finite number")
        parsed[field.name] = value
    return shape.make(**parsed)


def _choice(choices: type[IntEnum], number: int, place: str) -> IntEnum:
    try:
        return choices(number)
    except ValueError as error:
        raise InvalidRequest("session.bad_message", f"{place}: no such choice as {number}") from error
