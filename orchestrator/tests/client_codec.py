"""The client's side of the session wire: writes client messages, reads server messages.

It uses protobuf's own JSON mapping and the types of the dataclasses, and nothing of the codec under test.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from base64 import b64decode
from enum import IntEnum
from types import NoneType

from anchor.session.v1 import session_pb2
from google.protobuf import json_format
from google.protobuf.message import Message
from orchestrator.conversation.messages import server
from orchestrator.conversation.messages.client import ClientMessage
from orchestrator.conversation.messages.server import ServerMessage

CLIENT_NAMES = {
    member.message_type.name: member.name
    for member in session_pb2.ClientMessage.DESCRIPTOR.oneofs_by_name["message"].fields
}
SERVER_CLASSES = {
    member.name: getattr(server, member.message_type.name)
    for member in session_pb2.ServerMessage.DESCRIPTOR.oneofs_by_name["message"].fields
}


def client_to_json(message: ClientMessage) -> str:
    """The text frame of `message`."""
    return json.dumps({"type": CLIENT_NAMES[type(message).__name__], **plain(message)})


def client_to_proto(message: ClientMessage) -> session_pb2.ClientMessage:
    return session_pb2.ClientMessage(**{CLIENT_NAMES[type(message).__name__]: plain(message)})


def server_from_json(text: str | bytes) -> ServerMessage:
    """The message of a text frame."""
    fields = json.loads(text)
    return typed(SERVER_CLASSES[fields.pop("type")], fields)


def server_from_proto(message: session_pb2.ServerMessage) -> ServerMessage:
    name = message.WhichOneof("message")
    assert name is not None
    return typed(SERVER_CLASSES[name], as_json(getattr(message, name)))


def as_json(message: Message) -> dict[str, typing.Any]:
    """A protobuf message as protobuf writes it in JSON, with the fields that have their default."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def plain(value: typing.Any) -> typing.Any:
    """A message of dataclasses as dicts, lists and names of enum values, without absent fields."""
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {name: plain(item) for name, item in fields.items() if item is not None}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value.name if isinstance(value, IntEnum) else value


def typed(kind: typing.Any, value: typing.Any) -> typing.Any:
    """The value of type `kind` that `value` stands for in JSON; `bytes` are in base 64."""
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        return tuple(typed(arguments[0], item) for item in value)
    if NoneType in arguments:
        return typed(arguments[0], value)
    if kind is bytes:
        return b64decode(value)
    if issubclass(kind, IntEnum):
        return kind[value]
    if not dataclasses.is_dataclass(kind):
        assert type(value) is kind or (kind is float and type(value) is int)
        return kind(value)
    hints = typing.get_type_hints(kind)
    assert value.keys() <= hints.keys()
    return kind(**{name: typed(hints[name], item) for name, item in value.items()})
