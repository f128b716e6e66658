"""The fields of every session message, read once from the proto's descriptors; the codec follows them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, dataclass
from enum import IntEnum
from typing import Any, cast

from anchor.session.v1 import session_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from orchestrator.conversation.messages import client, server, system_status

# Dataclasses and enums of the messages, by the name that the proto has for them too.
_CLASSES: dict[str, Any] = vars(client) | vars(server) | vars(system_status)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message, as the proto declares it."""

    name: str
    # A `FieldDescriptor.TYPE_...`.
    kind: int
    # The proto tracks presence; an absent field is None in the dataclass.
    optional: bool
    repeated: bool
    # The dataclass has no default, so a client's JSON frame must contain the field.
    required: bool
    # The enum of an enum field.
    choices: type[IntEnum] | None
    # The fields of a message field.
    shape: MessageShape | None


@dataclass(frozen=True, slots=True)
class MessageShape:
    """A message's dataclass and its fields in the order of the proto."""

    make: Callable[..., Any]
    fields: tuple[Field, ...]
    # Keys that a JSON frame of this message may have: the fields and `type`.
    names: frozenset[str]


def _shape(descriptor: Descriptor) -> MessageShape:
    make = _CLASSES[descriptor.name]
    required = {field.name for field in dataclasses.fields(make) if field.default is MISSING}
    fields = tuple(_field(field, field.name in required) for field in descriptor.fields)
    return MessageShape(make, fields, frozenset(field.name for field in fields) | {"type"})


def _field(field: FieldDescriptor, required: bool) -> Field:
    return Field(
        name=field.name,
        kind=field.type,
        optional=field.has_presence,
        repeated=field.is_repeated,
        required=required,
        choices=_CLASSES[field.enum_type.name] if field.enum_type else None,
        shape=_shape(field.message_type) if field.message_type else None,
    )


def _members(container: type[Message]) -> dict[str, MessageShape]:
    union = container.DESCRIPTOR.oneofs_by_name["message"]
    return {member.name: _shape(cast(Descriptor, member.message_type)) for member in union.fields}


# The messages of clients and of the server, by the name of their `oneof` member.
CLIENT = _members(session_pb2.ClientMessage)
SERVER = _members(session_pb2.ServerMessage)
# Dataclass of a server message -> name of its `oneof` member.
SERVER_NAMES = {shape.make: name for name, shape in SERVER.items()}
