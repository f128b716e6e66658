"""`SessionService` over a real server."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from anchor.session.v1 import session_pb2, session_pb2_grpc
from api_support import TONE, FakeSessions, manual_start
from client_codec import client_to_proto, server_from_proto
from grpc import aio
from grpc._cython.cygrpc import ExecuteBatchError
from orchestrator.api.limits import ApiLimits
from orchestrator.api.secret_check import SecretCheck
from orchestrator.api.streaming.grpc import SERVICE_NAME, GrpcTransport, SessionServicer, add_to
from orchestrator.conversation.messages.client import ClientMessage, EndTurn, MicrophoneAudio, SessionStart, TextInput
from orchestrator.conversation.messages.server import (
    AnchorAudio,
    Error,
    ReplyFinished,
    ServerMessage,
    SessionEnded,
    SessionStarted,
    SpeechStarted,
    TurnCommitted,
)
from pydantic import SecretStr
from service_kit.errors import AnchorError, AtCapacity, Denied, InvalidRequest, PeerFailed
from service_kit.http.api_keys import ApiKey, Scope, new_api_key
from service_kit.rpc.channel import read_message, write_message
from service_kit.testing.plugin import serve_grpc

LIMITS = ApiLimits(first_message_timeout_s=60, max_bad_messages=3)


@pytest.fixture
def sessions():
    return FakeSessions()


def serve_sessions(
    sessions: FakeSessions, secret: str | None = None, limits: ApiLimits = LIMITS, keys: Iterable[ApiKey] = ()
):
    servicer = SessionServicer(sessions, limits, SecretCheck(SecretStr(secret) if secret else None, keys=keys))
    return serve_grpc(SERVICE_NAME, lambda server: add_to(server, servicer))


def call(channel: aio.Channel, token: str = "") -> aio.StreamStreamCall:
    metadata = (("authorization", f"Bearer {token}"),) if token else None
    return session_pb2_grpc.SessionServiceStub(channel).Converse(metadata=metadata)


async def send_message(stream: aio.StreamStreamCall, message: ClientMessage) -> None:
    await write_message(stream, session_pb2.ConverseRequest(message=client_to_proto(message)), "anchor")


async def receive(stream: aio.StreamStreamCall) -> ServerMessage | None:
    response = await read_message(stream, "anchor", 20)
    return None if response is None else server_from_proto(response.message)


async def receive_until(stream: aio.StreamStreamCall, last: type) -> list[ServerMessage]:
    heard: list[ServerMessage] = []
    while not heard or not isinstance(heard[-1], last):
        message = await receive(stream)
        assert message is not None
        heard.append(message)
    return heard


async def failure(stream: aio.StreamStreamCall) -> tuple[list[ServerMessage | None], AnchorError]:
    heard: list[ServerMessage | None] = []
    try:
        while not heard or heard[-1] is not None:
            heard.append(await receive(stream))
    except AnchorError as error:
        return heard, error
    pytest.fail("the call ended without an error")


async def test_turn_completes_and_closing_ends_the_session(sessions):
    async with serve_sessions(sessions) as channel:
        stream = call(channel)
        await send_message(stream, manual_start(sample_rate_hz=8000))
        assert isinstance(await receive(stream), SessionStarted)
        await send_message(stream, MicrophoneAudio(bytes(8000)))
        await send_message(stream, EndTurn())
        events = await receive_until(stream, ReplyFinished)
        assert TurnCommitted(1, "500 ms") in events
        assert AnchorAudio(TONE) in events
        await stream.done_writing()
        assert isinstance((await receive_until(stream, SessionEnded))[-1], SessionEnded)
        assert await receive(stream) is None
    assert sessions.open_count == 0


async def test_cancelled_call_ends_the_session(sessions):
    async with serve_sessions(sessions) as channel:
        stream = call(channel)
        await send_message(stream, SessionStart())
        await receive(stream)
        await send_message(stream, TextInput("hang"))
        assert sessions.open_count == 1
        stream.cancel()
        await sessions.wait_all_closed()


async def test_bad_messages_are_reported_until_there_are_too_many(sessions):
    async with serve_sessions(sessions) as channel:
        stream = call(channel)
        await send_message(stream, SessionStart())
        await receive(stream)
        await send_message(stream, TextInput("x" * 100_000))
        refusal = await receive(stream)
        assert isinstance(refusal, Error)
        assert (refusal.code, "longer than 8000" in refusal.message) == ("session.bad_message", True)
        await stream.write(session_pb2.ConverseRequest())
        await send_message(stream, MicrophoneAudio(b"\1"))
        heard, error = await failure(stream)
        assert isinstance(heard[-1], SessionEnded)
        assert isinstance(error, InvalidRequest)
        assert error.code == "session.too_many_bad_messages"


async def test_call_must_begin_with_session_start(sessions):
    async with serve_sessions(sessions) as channel:
        stream = call(channel)
        await send_message(stream, EndTurn())
        heard, error = await failure(stream)
        assert [type(message) for message in heard] == [Error, SessionEnded]
        assert error.code == "session.start_expected"


async def test_silent_call_times_out(sessions):
    async with serve_sessions(sessions, limits=ApiLimits(first_message_timeout_s=0.2)) as channel:
        _, error = await failure(call(channel))
        assert error.code == "session.start_timeout"


async def test_call_closed_before_its_start_is_no_error(sessions):
    async with serve_sessions(sessions) as channel:
        stream = call(channel)
        await stream.done_writing()
        assert await receive(stream) is None
    assert sessions.starts == []


@pytest.mark.parametrize(("text", "code"), [("break", "stt.gone"), ("leave", "tts.gone"), ("crash", "internal")])
async def test_failed_session_ends_the_call_with_its_code(sessions, text, code):
    async with serve_sessions(sessions) as channel:
        stream = call(channel)
        await send_message(stream, SessionStart())
        await receive(stream)
        await send_message(stream, TextInput(text))
        heard, error = await failure(stream)
        assert isinstance(heard[-1], SessionEnded)
        assert error.code == code
        assert isinstance(error, PeerFailed) or code == "internal"


async def test_grpc_refuses_a_key_beyond_its_sessions(sessions):
    token, key = new_api_key("kitchen", frozenset({Scope.TALK}), max_sessions=1)
    async with serve_sessions(sessions, keys=[key]) as channel:
        first = call(channel, token)
        await send_message(first, manual_start())
        assert isinstance(await receive(first), SessionStarted)
        heard, error = await failure(call(channel, token))
        assert heard == []
        assert (type(error), error.code) == (AtCapacity, "orchestrator.key_sessions")
        first.cancel()


async def test_grpc_requires_the_secret(sessions):
    async with serve_sessions(sessions, secret="s3cret") as channel:  # noqa: S106
        for token in ("", "wrong"):
            _, error = await failure(call(channel, token))
            assert isinstance(error, Denied)
            assert error.code == "orchestrator.denied"
        stream = call(channel, "s3cret")
        await send_message(stream, SessionStart())
        assert isinstance(await receive(stream), SessionStarted)
        stream.cancel()
    await sessions.wait_all_closed()


class BrokenCall:
    """A call whose client vanishes during every write."""

    async def write(self, response: session_pb2.ConverseResponse) -> None:
        raise ExecuteBatchError('Failed "execute_batch"')


async def test_write_to_a_broken_call_is_ignored():
    transport = GrpcTransport(BrokenCall(), max_text_chars=100)
    await transport.send(SpeechStarted(0))
    await transport.send_audio(bytes(960))
    await transport.close()
