"""The shape of every message of a session, read once from the proto's descriptors; the codec walks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from enum import IntEnum
from sys import modules
from types import ModuleType
from typing import Any, cast

from anchor.session.v1 import session_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message, as the proto has it."""

    name: str
    kind: int
    # Absent means something, and is None in the dataclass.
    optional: bool
    repeated: bool
    # Must be in a JSON frame, since the dataclass has no default for it.
    required: bool
    choices: type[IntEnum] | None
    shape: MessageShape | None


@dataclass(frozen=True, slots=True)
class MessageShape:
    """A dataclass beside the proto message of the same name."""

    make: Callable[..., Any]
    fields: tuple[Field, ...]
    names: frozenset[str]


def _shape(descriptor: Descriptor, home: ModuleType) -> MessageShape:
    """The shape of a message; raises `AttributeError` or `KeyError` when its dataclass does not match."""
    make = getattr(home, descriptor.name)
    # What it is made of stands beside it.
    home = modules[make.__module__]
    defaults = {field.name: field.default is not MISSING for field in fields(make)}
    shaped = tuple(_field(field, defaults[field.name], home) for field in descriptor.fields)
    return MessageShape(make, shaped, frozenset(defaults) | {"type"})


def _field(field: FieldDescriptor, has_default: bool, home: ModuleType) -> Field:
    return Field(
        name=field.name,
        kind=field.type,
        optional=field.has_presence,
        repeated=field.is_repeated,
        required=not has_default,
        choices=getattr(home, field.enum_type.name) if field.enum_type else None,
        shape=_shape(field.message_type, home) if field.message_type else None,
    )


def _members(container: type[Message], home: ModuleType) -> dict[str, MessageShape]:
    union = container.DESCRIPTOR.oneofs_by_name["message"]
    return {member.name: _shape(cast(Descriptor, member.message_type), home) for member in union.fields}


# What clients may say, and what they may be told, by the name of the `oneof` member.
CLIENT = _members(session_pb2.ClientMessage, client_messages)
SERVER = _members(session_pb2.ServerMessage, server_messages)
SERVER_NAMES = {shape.make: name for name, shape in SERVER.items()}
CLIENT_NAMES = {shape.make: name for name, shape in CLIENT.items()}
