"""Generates `orchestrator.conversation.messages` from `anchor/session/v1/session.proto`; `make proto` runs it.

The conversation works with the messages of the session contract as plain frozen dataclasses, without protobuf. Each
class has the name, the fields, the field order and the comments of its proto message.

How a field of the proto becomes a field of the dataclass:

- `optional` scalars and messages are `T | None`, absent is `None`;
- `repeated` is `tuple[T, ...]`, empty when absent;
- other scalars and enums have no default: code must give them, and so must a client's JSON frame. The exceptions are
  fields that follow one with a default, which Python asks for, and `FIRST_WITH_DEFAULT`. Their default is the proto's:
  zero, false or empty.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

ROOT = Path(__file__).parents[2]
PROTO = "anchor/session/v1/session.proto"
PACKAGE = "orchestrator.conversation.messages"
FOLDER = ROOT / "orchestrator/src/orchestrator/conversation/messages"
HEADER = f"# Generated from proto/{PROTO} by `make proto`. Do not edit.\n"

# Module -> the message it is made from. A module holds what its message is made of and no module above it holds.
MODULES = {"client": "ClientMessage", "system_status": "SystemStatus", "server": "ServerMessage"}
# The messages that only hold one of the others in a `oneof`: each becomes a union of classes.
UNIONS = {"ClientMessage", "ServerMessage"}
# Members of `ClientMessage` that are not commands: one opens a session, the other travels beside the commands.
NO_COMMANDS = {"SessionStart", "MicrophoneAudio"}
# Message -> the first of its fields that may be left out although the proto does not track its presence.
FIRST_WITH_DEFAULT = {
    "SessionStart": "language",
    "PersonaChoice": "description",
    "FinalTranscript": "language",
    "ServiceStatus": "engine",
    "GpuStatus": "unavailable_reason",
}

Field = FieldDescriptorProto
# Proto type -> Python type and its proto default.
SCALARS = {
    Field.TYPE_STRING: ("str", '""'),
    Field.TYPE_BYTES: ("bytes", 'b""'),
    Field.TYPE_BOOL: ("bool", "False"),
    Field.TYPE_FLOAT: ("float", "0.0"),
    Field.TYPE_DOUBLE: ("float", "0.0"),
    Field.TYPE_UINT32: ("int", "0"),
    Field.TYPE_INT32: ("int", "0"),
}
WIDTH = 120
INDENT = "    "


def compiled() -> FileDescriptorProto:
    """The proto's descriptor, with its comments. Raises `CalledProcessError` when protoc refuses the proto."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "session.binpb"
        protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", "--include_source_info"]
        subprocess.run([*protoc, f"--descriptor_set_out={target}", PROTO], check=True)
        return FileDescriptorSet.FromString(target.read_bytes()).file[0]


class Contract:
    """The messages and enums of the proto by name, and the comment of each and of its fields and values.

    A comment is found by `SessionStart`, `SessionStart.language` and so on; the package's by the empty name.
    Raises `SystemExit` for a message, enum, field or value without a comment.
    """

    def __init__(self, file: FileDescriptorProto) -> None:
        self.messages = {message.name: message for message in file.message_type}
        self.enums = {enum.name: enum for enum in file.enum_type}
        paths: dict[str, tuple[int, ...]] = {"": (FileDescriptorProto.PACKAGE_FIELD_NUMBER,)}
        for number, message in enumerate(file.message_type):
            path = (FileDescriptorProto.MESSAGE_TYPE_FIELD_NUMBER, number)
            paths[message.name] = path
            for index, field in enumerate(message.field):
                paths[f"{message.name}.{field.name}"] = (*path, DescriptorProto.FIELD_FIELD_NUMBER, index)
        for number, enum in enumerate(file.enum_type):
            path = (FileDescriptorProto.ENUM_TYPE_FIELD_NUMBER, number)
            paths[enum.name] = path
            for index, value in enumerate(enum.value):
                paths[f"{enum.name}.{value.name}"] = (*path, EnumDescriptorProto.VALUE_FIELD_NUMBER, index)
        comments = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
        self.comments = {name: textwrap.dedent(comments.get(path, "")).strip() for name, path in paths.items()}
        if missing := [name for name, text in self.comments.items() if not text]:
            raise SystemExit(f"{PROTO}: no comment at {', '.join(missing)}")

    def reachable(self, root: str) -> set[str]:
        """Names of the messages and enums that `root` consists of, itself included."""
        names = {root}
        for name in self.used_by({root}):
            names |= self.reachable(name)
        return names

    def used_by(self, names: Iterable[str]) -> set[str]:
        """Names of the messages and enums that are types of fields of the messages among `names`."""
        messages = [self.messages[name] for name in names if name in self.messages]
        return {short_name(field) for message in messages for field in message.field if field.type_name}

    def members(self, union: str) -> list[tuple[str, str]]:
        """Class and comment of every member of a union, in the order of the proto."""
        fields = self.messages[union].field
        return [(short_name(field), self.comments[f"{union}.{field.name}"]) for field in fields]


def short_name(field: FieldDescriptorProto) -> str:
    """Name of a field's message or enum, without the package."""
    return field.type_name.rpartition(".")[2]


def wrapped(text: str, width: int) -> Iterator[str]:
    """Lines of `text`, whose paragraphs are divided by empty lines."""
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ""
        yield from textwrap.wrap(" ".join(paragraph.split()), width, break_long_words=False, break_on_hyphens=False)


def docstring(text: str, indent: str = "") -> Iterator[str]:
    text = text.replace("\\", "\\\\").replace('"""', '\\"""')
    # A quotation mark beside the quotes of the docstring stands apart from them, as ruff formats it.
    text = f" {text}" if text.startswith('"') else text
    text = f"{text} " if text.endswith('"') else text
    if "\n" not in text and len(indent) + len(text) + 6 <= WIDTH:
        yield f'{indent}"""{text}"""'
        return
    first, *rest = wrapped(text, WIDTH - len(indent) - 3)
    yield f'{indent}"""{first}'
    yield from (f"{indent}{line}".rstrip() for line in rest)
    yield f'{indent}"""'


def comment(text: str, indent: str) -> Iterator[str]:
    return (f"{indent}# {line}".rstrip() for line in wrapped(text, WIDTH - len(indent) - 2))


def enum_source(contract: Contract, enum: EnumDescriptorProto) -> Iterator[str]:
    yield f"class {enum.name}(IntEnum):"
    yield from docstring(contract.comments[enum.name], INDENT)
    yield ""
    for value in enum.value:
        yield f"{INDENT}{value.name} = {value.number}"
        yield from docstring(contract.comments[f"{enum.name}.{value.name}"], INDENT)


def message_source(contract: Contract, message: DescriptorProto) -> Iterator[str]:
    yield "@dataclass(frozen=True, slots=True)"
    yield f"class {message.name}:"
    yield from docstring(contract.comments[message.name], INDENT)
    if message.field:
        yield ""
    has_default = False
    for field in message.field:
        if field.HasField("oneof_index") and not field.proto3_optional:
            raise SystemExit(f"{message.name}.{field.name}: a oneof inside a message has no form here")
        kind, default = field_type(contract, field)
        has_presence = field.proto3_optional or field.type == Field.TYPE_MESSAGE
        is_repeated = field.label == Field.LABEL_REPEATED
        if is_repeated:
            kind, default = f"tuple[{kind}, ...]", "()"
        elif has_presence:
            kind, default = f"{kind} | None", "None"
        has_default |= is_repeated or has_presence or FIRST_WITH_DEFAULT.get(message.name) == field.name
        yield f"{INDENT}{field.name}: {kind}" + (f" = {default}" if has_default else "")
        yield from docstring(contract.comments[f"{message.name}.{field.name}"], INDENT)


def field_type(contract: Contract, field: FieldDescriptorProto) -> tuple[str, str]:
    """Python type of one value of a field, and its proto default."""
    if field.type == Field.TYPE_MESSAGE:
        return short_name(field), "None"
    if field.type == Field.TYPE_ENUM:
        enum = contract.enums[short_name(field)]
        return enum.name, f"{enum.name}.{enum.value[0].name}"
    return SCALARS[field.type]


def union_source(contract: Contract, name: str) -> Iterator[str]:
    members = contract.members(name)
    doc = contract.comments[name]
    if name == "ClientMessage":
        commands = [(member, text) for member, text in members if member not in NO_COMMANDS]
        yield from alternatives("Command", commands, "Any client message after `session_start`, except audio.")
        yield ""
        members = [each for each in members if each not in commands]
        yield from alternatives(name, members, doc, "Command")
    else:
        yield from alternatives(name, members, doc)


def alternatives(name: str, members: Sequence[tuple[str, str]], doc: str, *others: str) -> Iterator[str]:
    yield f"{name} = ("
    for number, (member, text) in enumerate(members):
        yield from comment(text, INDENT)
        yield f"{INDENT}{'| ' if number else ''}{member}"
    yield from (f"{INDENT}| {other}" for other in others)
    yield ")"
    yield from docstring(doc)


def module_source(contract: Contract, root: str, names: set[str], imports: dict[str, list[str]]) -> str:
    """Source of the module made from `root`, which holds `names` and imports the names of other modules."""
    enums = [enum for enum in contract.enums.values() if enum.name in names]
    messages = [message for message in contract.messages.values() if message.name in names - UNIONS]
    lines = [HEADER.rstrip(), *docstring(contract.comments[root]), ""]
    lines += ["from __future__ import annotations", "", "from dataclasses import dataclass"]
    lines += ["from enum import IntEnum"] if enums else []
    if imports:
        lines += ["", *(f"from {PACKAGE}.{module} import {', '.join(found)}" for module, found in imports.items())]
    for enum in enums:
        lines += ["", "", *enum_source(contract, enum)]
    for message in messages:
        lines += ["", "", *message_source(contract, message)]
    if root in UNIONS:
        lines += ["", "", *union_source(contract, root)]
    return "\n".join(lines) + "\n"


def main() -> None:
    contract = Contract(compiled())
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "__init__.py").write_text(HEADER + "\n".join(docstring(contract.comments[""])) + "\n")
    homes: dict[str, str] = {}
    for module, root in MODULES.items():
        names = contract.reachable(root) - homes.keys()
        imports: dict[str, list[str]] = {}
        for name in sorted(contract.used_by(names) - names):
            imports.setdefault(homes[name], []).append(name)
        homes |= dict.fromkeys(names, module)
        (FOLDER / f"{module}.py").write_text(module_source(contract, root, names, imports))


if __name__ == "__main__":
    main()
