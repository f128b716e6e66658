"""The codec: session messages as JSON and as protobuf."""

from __future__ import annotations

import dataclasses
import json
import timeit
import typing
from enum import IntEnum
from types import NoneType

import pytest
from anchor.session.v1 import session_pb2
from client_codec import client_to_json, client_to_proto, server_from_json, server_from_proto
from google.protobuf import json_format
from orchestrator.api.wire import codec
from orchestrator.conversation.messages.client import (
    ClientMessage,
    EndTurn,
    MicrophoneAudio,
    PlaybackProgress,
    SessionStart,
    SetStyle,
    TextInput,
    TurnDetection,
)
from orchestrator.conversation.messages.server import (
    AnchorAudio,
    FinalTranscript,
    LatencyWaterfall,
    ReplySource,
    ReplySources,
    ReplyText,
    ServerMessage,
)
from orchestrator.conversation.messages.system_status import GpuStatus, ServiceHealth, ServiceStatus, SystemStatus
from service_kit.errors import InvalidRequest


def sample(kind: object, number: int) -> object:
    """A value of type `kind`; each number gives another."""
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
    """A message of class `kind` with a value in every field."""
    hints = typing.get_type_hints(kind)
    return kind(
        **{field.name: sample(hints[field.name], number + i) for i, field in enumerate(dataclasses.fields(kind))}
    )


def refusal(text: str, max_text_chars: int = 100) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as raised:
        codec.client_from_json(text, max_text_chars)
    assert raised.value.code == "session.bad_message"
    return raised.value


@pytest.mark.parametrize("kind", typing.get_args(ServerMessage))
def test_a_server_message_survives_json_and_protobuf(kind):
    message = filled(kind)
    proto = codec.server_to_proto(message)
    assert server_from_proto(session_pb2.ServerMessage.FromString(proto.SerializeToString())) == message
    if kind is AnchorAudio:
        with pytest.raises(TypeError, match="binary"):
            codec.server_to_json(message)
        return
    text = codec.server_to_json(message)
    assert server_from_json(text) == message
    # protobuf's own JSON parser reads the same message.
    fields = json.loads(text)
    name = fields.pop("type")
    assert json_format.ParseDict({name: fields}, session_pb2.ServerMessage()) == proto


@pytest.mark.parametrize("kind", typing.get_args(ClientMessage))
def test_a_client_message_survives_json_and_protobuf(kind):
    message = filled(kind)
    wire = client_to_proto(message).SerializeToString()
    assert codec.client_from_proto(session_pb2.ClientMessage.FromString(wire), 100) == message
    if kind is not MicrophoneAudio:
        assert codec.client_from_json(client_to_json(message), 100) == message


def test_absent_optional_fields_are_omitted_and_stay_absent():
    text = codec.server_to_json(FinalTranscript(3, 1, "yes"))
    fields = {"turn_id": 3, "revision": 1, "text": "yes", "language": "", "words": []}
    assert json.loads(text) == {"type": "final_transcript", **fields}
    assert server_from_json(text) == FinalTranscript(3, 1, "yes")
    assert server_from_proto(codec.server_to_proto(SystemStatus(()))) == SystemStatus(())


def test_enum_values_are_written_by_name_in_nested_messages():
    status = SystemStatus((ServiceStatus("stt", ServiceHealth.SERVICE_HEALTH_READY),), GpuStatus(present=False))
    fields = json.loads(codec.server_to_json(status))
    names = {"engine": "", "model": "", "version": "", "languages": []}
    assert fields["services"][0] == {"service": "stt", "health": "SERVICE_HEALTH_READY", **names}
    assert codec.as_fields(status) == {key: value for key, value in fields.items() if key != "type"}


def test_the_sources_of_a_reply_are_a_list_of_objects():
    message = ReplySources(2, (ReplySource("the ferry", "news/ferry.md", "It sails at six.", "en"),))
    source = {"title": "the ferry", "file": "news/ferry.md", "text": "It sails at six.", "language": "en"}
    fields = {"type": "reply_sources", "turn_id": 2, "sources": [source]}
    assert json.loads(codec.server_to_json(message)) == fields
    assert codec.server_to_proto(message).reply_sources.sources[0].file == "news/ferry.md"


def test_a_client_may_omit_fields_with_a_default():
    assert codec.client_from_json(
        '{"type":"session_start","turn_detection":"TURN_DETECTION_MANUAL"}', 9
    ) == SessionStart(turn_detection=TurnDetection.TURN_DETECTION_MANUAL)
    assert codec.client_from_json('{"type":"end_turn"}', 9) == EndTurn()
    assert codec.client_from_json('{"type":"set_style","pace":2,"warmth":null}', 9) == SetStyle(pace=2.0)


def test_a_lone_surrogate_in_a_reply_becomes_a_question_mark():
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
        ('{"type":"text_input","text":5}', "text_input.text: must be a string"),
        ('{"type":"text_input","text":"a","colour":1}', "text_input.colour: no such field"),
        ('{"type":"interrupt","\\u001b\\n\\ud83d":1}', r"interrupt.\x1b\n\ud83d: no such field"),
        ('{"type":"text_input","text":"\\ud83d"}', "text_input.text: lone surrogate"),
        ('{"type":"playback_progress","turn_id":1,"played_ms":-1}', "played_ms: must be an integer from 0"),
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
def test_a_bad_json_message_is_refused_by_the_name_of_its_field(text, names):
    assert names in refusal(text).message


def test_a_string_beyond_the_limit_is_refused():
    assert "longer than 100" in refusal(json.dumps({"type": "text_input", "text": "x" * 101})).message
    proto = session_pb2.ClientMessage(text_input=session_pb2.TextInput(text="x" * 101))
    with pytest.raises(InvalidRequest, match="text: longer"):
        codec.client_from_proto(proto, 100)


def test_a_bad_nested_field_is_named_by_its_path():
    for received, fault in (
        (5, "session_start.received: must be an object"),
        ([5], "session_start.received: must be an object"),
        ({}, "session_start.received.turn_id: missing"),
        ({"turn_id": 1, "offset_ms": -1}, "session_start.received.offset_ms: must be an integer"),
    ):
        assert fault in refusal(json.dumps({"type": "session_start", "received": received})).message


def test_a_bad_protobuf_message_is_refused():
    bad_choice = session_pb2.ClientMessage(session_start=session_pb2.SessionStart())
    bad_choice.session_start.turn_detection = 99  # type: ignore[assignment]
    endless = session_pb2.ClientMessage(set_style=session_pb2.SetStyle(pace=float("inf")))
    for message, names in ((session_pb2.ClientMessage(), "empty"), (bad_choice, "turn_detection"), (endless, "pace")):
        with pytest.raises(InvalidRequest, match=names):
            codec.client_from_proto(message, 100)


def test_a_server_event_is_written_in_under_100_microseconds():
    # 5 to 15 µs on an idle machine; the bound leaves room for a busy one.
    for message in (ReplyText(3, " and then"), LatencyWaterfall(1, *range(2, 11))):
        per_event_s = min(timeit.repeat(lambda m=message: codec.server_to_json(m), number=200, repeat=5)) / 200
        assert per_event_s < 100e-6


def test_text_and_large_numbers_of_clients_arrive_unchanged():
    for message in (TextInput("Grüße, नमस्ते 🙂"), PlaybackProgress(2**32 - 1, 0)):
        assert codec.client_from_json(client_to_json(message), 100) == message
