"""`SessionService`, over a real server."""

from __future__ import annotations

import pytest
from anchor.session.v1 import session_pb2, session_pb2_grpc
from client_codec import client_to_proto, server_from_proto
from edges_support import TONE, FakeSessions, manual_start
from grpc import aio
from grpc._cython.cygrpc import ExecuteBatchError
from orchestrator.api.limits import ApiLimits
from orchestrator.api.streaming.grpc import NAME, GrpcWire, SessionServicer, add_to
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
from service_kit.errors import AnchorError, Denied, InvalidRequest, PeerFailed
from service_kit.rpc.channel import read_message, write_message
from service_kit.testing.plugin import serve_grpc

LIMITS = ApiLimits(first_message_s=60, bad_messages=3)


@pytest.fixture
def sessions():
    return FakeSessions()


def served(sessions: FakeSessions, secret: str | None = None, limits: ApiLimits = LIMITS):
    servicer = SessionServicer(sessions, limits, SecretStr(secret) if secret else None)
    return serve_grpc(NAME, lambda server: add_to(server, servicer))


def call(channel: aio.Channel, token: str = "") -> aio.StreamStreamCall:
    metadata = (("authorization", f"Bearer {token}"),) if token else None
    return session_pb2_grpc.SessionServiceStub(channel).Converse(metadata=metadata)


async def say(stream: aio.StreamStreamCall, message: ClientMessage) -> None:
    await write_message(stream, session_pb2.ConverseRequest(message=client_to_proto(message)), "anchor")


async def told(stream: aio.StreamStreamCall) -> ServerMessage | None:
    response = await read_message(stream, "anchor", 20)
    return None if response is None else server_from_proto(response.message)


async def told_until(stream: aio.StreamStreamCall, last: type) -> list[ServerMessage]:
    heard: list[ServerMessage] = []
    while not heard or not isinstance(heard[-1], last):
        message = await told(stream)
        assert message is not None
        heard.append(message)
    return heard


async def failure(stream: aio.StreamStreamCall) -> tuple[list[ServerMessage | None], AnchorError]:
    heard: list[ServerMessage | None] = []
    try:
        while not heard or heard[-1] is not None:
            heard.append(await told(stream))
    except AnchorError as error:
        return heard, error
    pytest.fail("the call ended well")


async def test_a_turn_goes_through_and_closing_ends_the_session(sessions):
    async with served(sessions) as channel:
        stream = call(channel)
        await say(stream, manual_start(sample_rate_hz=8000))
        assert isinstance(await told(stream), SessionStarted)
        await say(stream, MicrophoneAudio(bytes(8000)))
        await say(stream, EndTurn())
        events = await told_until(stream, ReplyFinished)
        assert TurnCommitted(1, "500 ms") in events
        assert AnchorAudio(TONE) in events
        await stream.done_writing()
        assert isinstance((await told_until(stream, SessionEnded))[-1], SessionEnded)
        assert await told(stream) is None
    assert sessions.open_now == 0


async def test_cancelling_the_call_ends_the_session(sessions):
    async with served(sessions) as channel:
        stream = call(channel)
        await say(stream, SessionStart())
        await told(stream)
        await say(stream, TextInput("hang"))
        assert sessions.open_now == 1
        stream.cancel()
        await sessions.all_closed()


async def test_a_bad_message_is_answered_until_there_are_too_many(sessions):
    async with served(sessions) as channel:
        stream = call(channel)
        await say(stream, SessionStart())
        await told(stream)
        await say(stream, TextInput("x" * 100_000))
        refusal = await told(stream)
        assert isinstance(refusal, Error)
        assert (refusal.code, "longer than 8000" in refusal.message) == ("session.bad_message", True)
        await stream.write(session_pb2.ConverseRequest())
        await say(stream, MicrophoneAudio(b"\1"))
        heard, error = await failure(stream)
        assert isinstance(heard[-1], SessionEnded)
        assert isinstance(error, InvalidRequest)
        assert error.code == "session.too_many_bad_messages"


async def test_a_call_must_begin_with_its_start(sessions):
    async with served(sessions) as channel:
        stream = call(channel)
        await say(stream, EndTurn())
        heard, error = await failure(stream)
        assert [type(message) for message in heard] == [Error, SessionEnded]
        assert error.code == "session.start_expected"


async def test_a_silent_call_is_ended(sessions):
    async with served(sessions, limits=ApiLimits(first_message_s=0.2)) as channel:
        _, error = await failure(call(channel))
        assert error.code == "session.start_timeout"


async def test_a_call_that_ends_before_it_begins_is_no_error(sessions):
    async with served(sessions) as channel:
        stream = call(channel)
        await stream.done_writing()
        assert await told(stream) is None
    assert sessions.starts == []


@pytest.mark.parametrize(("text", "code"), [("break", "stt.gone"), ("leave", "tts.gone"), ("crash", "internal")])
async def test_a_session_that_breaks_ends_the_call_with_its_code(sessions, text, code):
    async with served(sessions) as channel:
        stream = call(channel)
        await say(stream, SessionStart())
        await told(stream)
        await say(stream, TextInput(text))
        heard, error = await failure(stream)
        assert isinstance(heard[-1], SessionEnded)
        assert error.code == code
        assert isinstance(error, PeerFailed) or code == "internal"


async def test_a_secret_is_asked_for(sessions):
    async with served(sessions, secret="s3cret") as channel:  # noqa: S106
        for token in ("", "wrong"):
            _, error = await failure(call(channel, token))
            assert isinstance(error, Denied)
            assert error.code == "orchestrator.denied"
        stream = call(channel, "s3cret")
        await say(stream, SessionStart())
        assert isinstance(await told(stream), SessionStarted)
        stream.cancel()
    await sessions.all_closed()


class BrokenCall:
    """A call whose client vanishes in the middle of every write."""

    async def write(self, response: session_pb2.ConverseResponse) -> None:
        raise ExecuteBatchError('Failed "execute_batch"')


async def test_a_write_that_a_break_cuts_off_is_no_fault_of_ours():
    wire = GrpcWire(BrokenCall(), text_chars=100)
    await wire.send(SpeechStarted(0))
    await wire.send_audio(bytes(960))
    await wire.close()
