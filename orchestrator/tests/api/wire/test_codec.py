"""The codec, and that the dataclasses are the proto's messages."""

from __future__ import annotations

import dataclasses
import json
import timeit
import typing
from enum import IntEnum
from types import NoneType

import pytest
from anchor.session.v1 import session_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from orchestrator.api.wire import codec
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from orchestrator.conversation.messages import system_status
from orchestrator.conversation.messages.client import (
    EndTurn,
    MicrophoneAudio,
    PlaybackProgress,
    SessionStart,
    SetStyle,
    TextInput,
    TurnDetection,
)
from orchestrator.conversation.messages.server import AnchorAudio, FinalTranscript, LatencyWaterfall, ReplyText
from orchestrator.conversation.messages.system_status import GpuStatus, ServiceHealth, ServiceStatus, SystemStatus
from service_kit.errors import InvalidRequest

KINDS = {
    FieldDescriptor.TYPE_STRING: str,
    FieldDescriptor.TYPE_BYTES: bytes,
    FieldDescriptor.TYPE_BOOL: bool,
    FieldDescriptor.TYPE_FLOAT: float,
    FieldDescriptor.TYPE_UINT32: int,
    FieldDescriptor.TYPE_INT32: int,
}
UNIONS = {
    session_pb2.ClientMessage: typing.get_args(client_messages.ClientMessage),
    session_pb2.ServerMessage: typing.get_args(server_messages.ServerMessage),
}
NAMED = vars(client_messages) | vars(server_messages) | vars(system_status)
CLASSES = [kind for kind in NAMED.values() if isinstance(kind, type) and dataclasses.is_dataclass(kind)]
ENUMS = [client_messages.TurnDetection, server_messages.WaitDecision, system_status.ServiceHealth]


def expected_type(field: FieldDescriptor) -> object:
    """The type that a field of the proto has in its dataclass."""
    if field.enum_type:
        kind = NAMED[field.enum_type.name]
    elif field.message_type:
        kind = NAMED[field.message_type.name]
    else:
        kind = KINDS[field.type]
    if field.is_repeated:
        return tuple[kind, ...]
    return kind | None if field.has_presence else kind


def sample(kind: object, number: int) -> object:
    """Some value of a type, another for every number."""
    if kind is str:
        return f"text {number} ü🙂"
    if kind is bytes:
        return bytes([number, 1])
    if kind is bool:
        return bool(number % 2)
    if kind is int:
        return number * 7
    if kind is float:
        return number / 4
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return list(kind)[number % len(kind)]
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        return (sample(inner, number), sample(inner, number + 1))
    if dataclasses.is_dataclass(kind):
        return filled(kind, number)
    return sample(next(arg for arg in typing.get_args(kind) if arg is not NoneType), number)


def filled(kind: type, number: int = 1) -> object:
    hints = typing.get_type_hints(kind)
    return kind(
        **{field.name: sample(hints[field.name], number + i) for i, field in enumerate(dataclasses.fields(kind))}
    )


def refusal(text: str, max_text_chars: int = 100) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as raised:
        codec.client_from_json(text, max_text_chars)
    assert raised.value.code == "session.bad_message"
    return raised.value


@pytest.mark.parametrize("container", UNIONS)
def test_the_union_holds_the_members_of_the_oneof(container):
    members = container.DESCRIPTOR.oneofs_by_name["message"].fields
    assert {kind.__name__ for kind in UNIONS[container]} == {member.message_type.name for member in members}


@pytest.mark.parametrize("kind", CLASSES)
def test_a_dataclass_has_the_fields_of_its_message(kind):
    descriptor = session_pb2.DESCRIPTOR.message_types_by_name[kind.__name__]
    hints = typing.get_type_hints(kind)
    assert [field.name for field in dataclasses.fields(kind)] == [field.name for field in descriptor.fields]
    assert {field.name: hints[field.name] for field in descriptor.fields} == {
        field.name: expected_type(field) for field in descriptor.fields
    }


def test_every_message_of_the_proto_has_its_dataclass():
    doors_only = {"ConverseRequest", "ConverseResponse", "ClientMessage", "ServerMessage"}
    names = set(session_pb2.DESCRIPTOR.message_types_by_name) - doors_only
    assert names == {kind.__name__ for kind in CLASSES}


@pytest.mark.parametrize("kind", ENUMS)
def test_an_enum_has_the_values_of_its_proto(kind):
    descriptor = session_pb2.DESCRIPTOR.enum_types_by_name[kind.__name__]
    assert {value.name: value.number for value in descriptor.values} == {value.name: value for value in kind}


@pytest.mark.parametrize("kind", UNIONS[session_pb2.ServerMessage])
def test_a_server_message_survives_both_wires(kind):
    message = filled(kind)
    proto = codec.server_to_proto(message)
    assert codec.server_from_proto(session_pb2.ServerMessage.FromString(proto.SerializeToString())) == message
    if kind is AnchorAudio:
        with pytest.raises(TypeError, match="binary"):
            codec.server_to_json(message)
        return
    text = codec.server_to_json(message)
    assert codec.server_from_json(text) == message
    # Google's own codec reads it alike.
    fields = json.loads(text)
    name = fields.pop("type")
    assert json_format.ParseDict({name: fields}, session_pb2.ServerMessage()) == proto


@pytest.mark.parametrize("kind", UNIONS[session_pb2.ClientMessage])
def test_a_client_message_survives_both_wires(kind):
    message = filled(kind)
    wire = codec.client_to_proto(message).SerializeToString()
    assert codec.client_from_proto(session_pb2.ClientMessage.FromString(wire), 100) == message
    if kind is not MicrophoneAudio:
        assert codec.client_from_json(codec.client_to_json(message), 100) == message


def test_absent_optional_fields_are_left_out_and_come_back_absent():
    text = codec.server_to_json(FinalTranscript(3, 1, "yes"))
    told = {"turn_id": 3, "revision": 1, "text": "yes", "language": "", "words": []}
    assert json.loads(text) == {"type": "final_transcript", **told}
    assert codec.server_from_json(text) == FinalTranscript(3, 1, "yes")
    assert codec.server_from_proto(codec.server_to_proto(SystemStatus(()))) == SystemStatus(())


def test_a_nested_message_names_its_choices():
    status = SystemStatus((ServiceStatus("stt", ServiceHealth.SERVICE_HEALTH_READY),), GpuStatus(present=False))
    fields = json.loads(codec.server_to_json(status))
    names = {"engine": "", "model": "", "version": ""}
    assert fields["services"][0] == {"service": "stt", "health": "SERVICE_HEALTH_READY", **names}
    assert codec.as_fields(status) == {key: value for key, value in fields.items() if key != "type"}


def test_fields_with_a_default_may_be_left_out():
    assert codec.client_from_json(
        '{"type":"session_start","turn_detection":"TURN_DETECTION_MANUAL"}', 9
    ) == SessionStart(turn_detection=TurnDetection.TURN_DETECTION_MANUAL)
    assert codec.client_from_json('{"type":"end_turn"}', 9) == EndTurn()
    assert codec.client_from_json('{"type":"set_style","pace":2,"warmth":null}', 9) == SetStyle(pace=2.0)


def test_half_an_emoji_from_a_language_model_does_not_break_a_frame():
    assert json.loads(codec.server_to_json(ReplyText(1, "a \ud83d")))["text"] == "a ?"
    assert codec.server_to_proto(ReplyText(1, "a \ud83d")).reply_text.text == "a ?"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("garbage", "not JSON"),
        ("", "not JSON"),
        ("[" * 60_000, "not JSON"),
        ('{"type":"playback_progress","turn_id":1,"played_ms":NaN}', "not JSON"),
        ("9" * 5000, "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "type"),
        ('{"type":7}', "type"),
        ('{"type":"session_started"}', "type"),
        ('{"type":"text_input"}', "text_input.text: missing"),
        ('{"type":"text_input","text":null}', "text_input.text"),
        ('{"type":"text_input","text":5}', "text_input.text: must be text"),
        ('{"type":"text_input","text":"a","colour":1}', "text_input.colour: no such field"),
        ('{"type":"text_input","text":"\\ud83d"}', "text_input.text: half"),
        ('{"type":"playback_progress","turn_id":1,"played_ms":-1}', "played_ms: must be a whole number from 0"),
        ('{"type":"playback_progress","turn_id":1,"played_ms":4294967296}', "played_ms"),
        ('{"type":"playback_progress","turn_id":true,"played_ms":1}', "turn_id"),
        ('{"type":"playback_progress","turn_id":1.0,"played_ms":1}', "turn_id"),
        ('{"type":"session_start","reports_playback":"yes"}', "reports_playback: must be true or false"),
        ('{"type":"session_start","reports_playback":null}', "reports_playback: must not be null"),
        ('{"type":"session_start","turn_detection":"MANUAL"}', "turn_detection: must be one of"),
        ('{"type":"session_start","turn_detection":2}', "turn_detection: must be one of"),
        ('{"type":"set_style","pace":"fast"}', "pace: must be a number"),
        ('{"type":"set_style","pace":1e999}', "pace: must be a finite number"),
        ('{"type":"set_style","pace":1' + "0" * 400 + "}", "pace: must be a finite number"),
        ('{"type":"microphone_audio","pcm":"AAAA"}', "audio travels in binary frames"),
    ],
)
def test_a_bad_message_is_refused_with_its_fault_named(text, names):
    assert names in refusal(text).message


def test_too_long_a_text_is_refused():
    assert "longer than 100" in refusal(json.dumps({"type": "text_input", "text": "x" * 101})).message
    proto = session_pb2.ClientMessage(text_input=session_pb2.TextInput(text="x" * 101))
    with pytest.raises(InvalidRequest, match="text: longer"):
        codec.client_from_proto(proto, 100)


def test_a_nested_fault_is_named_by_its_place():
    for services, place in (
        (5, "services: must be a list"),
        ([5], "services: must be an object"),
        ([{}], "service: m"),
    ):
        with pytest.raises(InvalidRequest, match=place):
            codec.server_from_json(json.dumps({"type": "system_status", "services": services}))


def test_a_bad_proto_is_refused():
    bad_choice = session_pb2.ClientMessage(session_start=session_pb2.SessionStart())
    bad_choice.session_start.turn_detection = 99  # type: ignore[assignment]
    endless = session_pb2.ClientMessage(set_style=session_pb2.SetStyle(pace=float("inf")))
    for message, names in ((session_pb2.ClientMessage(), "empty"), (bad_choice, "turn_detection"), (endless, "pace")):
        with pytest.raises(InvalidRequest, match=names):
            codec.client_from_proto(message, 100)
    with pytest.raises(InvalidRequest, match="empty"):
        codec.server_from_proto(session_pb2.ServerMessage())


def test_an_event_costs_little():
    # 5 to 15 µs on an idle machine; the bound leaves room for a busy one.
    for message in (ReplyText(3, " and then"), LatencyWaterfall(1, *range(2, 11))):
        per_event_s = min(timeit.repeat(lambda m=message: codec.server_to_json(m), number=200, repeat=5)) / 200
        assert per_event_s < 100e-6


def test_text_and_numbers_of_clients_arrive_unchanged():
    for message in (TextInput("Grüße, नमस्ते 🙂"), PlaybackProgress(2**32 - 1, 0)):
        assert codec.client_from_json(codec.client_to_json(message), 100) == message
