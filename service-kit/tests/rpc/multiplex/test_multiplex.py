"""Calls on a multiplexed channel: what they share with calls of their own, and what they lack."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest
from anchor.audio.v1 import audio_pb2
from anchor.multiplex.v1 import multiplex_pb2, multiplex_pb2_grpc
from anchor.vad.v1 import vad_pb2, vad_pb2_grpc
from grpc import aio
from service_kit.engines.info import EngineInfo
from service_kit.errors import AtCapacity, InvalidRequest, PeerFailed, Unsupported
from service_kit.health import Health, Status
from service_kit.observability.context import SESSION_ID
from service_kit.rpc.channel import open_channel, read_message, write_message
from service_kit.rpc.multiplex.client import MultiplexedChannel
from service_kit.rpc.multiplex.frames import MAX_MULTIPLEXED_BYTES, WINDOW_BYTES
from service_kit.rpc.server import GrpcServer
from service_kit.testing.plugin import serve_grpc

NAME = "anchor.vad.v1.TurnDetectionService"
WITHIN_S = 20.0
DETECT = f"/{NAME}/Detect"


class Echo(vad_pb2_grpc.TurnDetectionServiceServicer):
    """Answers a transcript with its session and text; some texts are commands."""

    def __init__(self):
        self.cancelled = asyncio.Event()
        self.written = 0
        self.received = 0
        self.resume = asyncio.Event()

    async def Detect(self, request_iterator, context):
        try:
            async for request in request_iterator:
                self.received += 1
                text = request.partial_transcript.text
                if text == "fail":
                    raise AtCapacity("vad.full", "no place")
                if text == "break":
                    raise ZeroDivisionError
                if text == "flood":
                    await self._flood(context)
                elif text == "stop reading":
                    await self.resume.wait()
                elif text == "huge":
                    await context.write(response_of("x" * (MAX_MULTIPLEXED_BYTES + 1)))
                elif text:
                    await context.write(response_of(f"{SESSION_ID.get()}:{text}"))
            await context.write(response_of("goodbye"))
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def _flood(self, context):
        while True:
            await context.write(response_of("x" * 10_000))
            self.written += 1


def response_of(text):
    return vad_pb2.DetectResponse(turn_end_predicted=vad_pb2.TurnEndPredicted(predictor=text))


def request_of(text):
    return vad_pb2.DetectRequest(partial_transcript=vad_pb2.PartialTranscript(text=text))


async def read_text(call):
    response = await read_message(call, "vad", WITHIN_S)
    return response and response.turn_end_predicted.predictor


@pytest.fixture
def echo():
    return Echo()


@pytest.fixture
def add(echo):
    return lambda server: vad_pb2_grpc.add_TurnDetectionServiceServicer_to_server(echo, server)


@pytest.fixture
async def multiplexed(add):
    async with serve_grpc(NAME, add, multiplex=True) as channel, MultiplexedChannel(channel) as multiplexed:
        yield multiplexed


@pytest.fixture
def start_call(multiplexed):
    stub = vad_pb2_grpc.TurnDetectionServiceStub(multiplexed)
    return lambda session="": stub.Detect(metadata=(("session-id", session),) if session else ())


async def test_calls_on_one_stream_do_not_mix(start_call):
    calls = {name: start_call(name) for name in "abcdefghij"}
    for count in range(5):
        for call in calls.values():
            await write_message(call, request_of(str(count)), "vad")
    for name, call in calls.items():
        assert [await read_text(call) for _ in range(5)] == [f"{name}:{count}" for count in range(5)]


async def test_a_half_closed_call_still_receives_the_remaining_messages(start_call):
    call = start_call("s")
    await write_message(call, request_of("hello"), "vad")
    await call.done_writing()
    assert [await read_text(call) for _ in range(4)] == ["s:hello", "goodbye", None, None]
    assert await call.code() is grpc.StatusCode.OK


async def test_a_failing_call_keeps_its_error_and_leaves_other_calls_open(start_call):
    failing, living = start_call(), start_call("b")
    await write_message(failing, request_of("fail"), "vad")
    with pytest.raises(AtCapacity) as failure:
        await read_text(failing)
    assert (failure.value.code, failure.value.message) == ("vad.full", "no place")
    with pytest.raises(AtCapacity):
        await write_message(failing, request_of("more"), "vad")
    await write_message(living, request_of("still here"), "vad")
    assert await read_text(living) == "b:still here"


async def test_a_bug_is_reported_without_details(start_call, caplog):
    call = start_call()
    await write_message(call, request_of("break"), "vad")
    with pytest.raises(Exception, match="internal error"):
        await read_text(call)
    assert "call broke" in caplog.text


async def test_cancelling_a_call_ends_only_its_own_work(start_call, echo):
    call, other = start_call(), start_call("o")
    await write_message(call, request_of("flood"), "vad")
    await read_text(call)
    assert call.cancel()
    assert not call.cancel()
    async with asyncio.timeout(WITHIN_S):
        await echo.cancelled.wait()
    await write_message(other, request_of("alive"), "vad")
    assert await read_text(other) == "o:alive"


async def test_a_client_that_does_not_read_blocks_only_its_own_call(start_call, echo):
    flooded, other = start_call(), start_call("o")
    await write_message(flooded, request_of("flood"), "vad")
    await write_message(other, request_of("one"), "vad")
    assert await read_text(other) == "o:one"
    before = -1
    while before != echo.written:
        before = echo.written
        await asyncio.sleep(0.1)
    assert echo.written * 10_000 <= WINDOW_BYTES + 10_000
    for _ in range(100):
        assert len(await read_text(flooded)) == 10_000
    flooded.cancel()


async def test_a_server_that_does_not_read_blocks_its_client(start_call, echo):
    call = start_call("s")
    await write_message(call, request_of("stop reading"), "vad")
    audio = vad_pb2.DetectRequest(audio=audio_pb2.AudioChunk(pcm=bytes(50_000)))
    sent = 0

    async def send_without_end():
        nonlocal sent
        while True:
            await write_message(call, audio, "vad")
            sent += 1

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(send_without_end(), 0.5)
    assert sent <= WINDOW_BYTES // 50_000 + 1
    echo.resume.set()
    for _ in range(20):
        await write_message(call, audio, "vad")
    await write_message(call, request_of("done"), "vad")
    assert await read_text(call) == "s:done"


async def test_a_message_too_large_is_refused_on_either_side(start_call):
    call = start_call()
    with pytest.raises(InvalidRequest, match="message_too_large"):
        await write_message(call, request_of("x" * (MAX_MULTIPLEXED_BYTES + 1)), "vad")
    await write_message(call, request_of("huge"), "vad")
    with pytest.raises(Exception, match="message_too_large"):
        await read_text(call)


async def test_an_unknown_method_is_unsupported(multiplexed):
    method = multiplexed.stream_stream("/anchor.vad.v1.Nothing/Detect", bytes, bytes)
    with pytest.raises(Unsupported):
        await read_message(method(), "vad", WITHIN_S)


async def test_a_lost_server_ends_all_calls_and_later_calls_reconnect(add):
    @asynccontextmanager
    async def server(port):
        health = Health("test", EngineInfo("test", "none", "0"))
        server = GrpcServer(health, [(NAME, add)], reflect=False, multiplex=True)
        bound = await server.start("127.0.0.1", port)
        health.move_to(Status.READY)
        yield bound
        await server.stop(0)

    async with server(0) as port:
        multiplexed = await MultiplexedChannel(open_channel(f"127.0.0.1:{port}")).__aenter__()
        stub = vad_pb2_grpc.TurnDetectionServiceStub(multiplexed)
        calls = [stub.Detect(metadata=()) for _ in range(3)]
        for call in calls:
            await write_message(call, request_of("hello"), "vad")
            assert await read_text(call) == ":hello"
    for call in calls:
        with pytest.raises(PeerFailed):
            await read_text(call)
    with pytest.raises(PeerFailed):
        await read_text(stub.Detect(metadata=()))
    async with server(port):
        for _ in range(50):
            call = stub.Detect(metadata=())
            try:
                await write_message(call, request_of("again"), "vad")
                assert await read_text(call) == ":again"
                break
            except PeerFailed:
                await asyncio.sleep(0.1)
        else:
            pytest.fail("the server was not found again")
        await multiplexed.__aexit__(None, None, None)


async def test_closing_the_channel_fails_its_calls(add):
    async with serve_grpc(NAME, add, multiplex=True) as channel:
        async with MultiplexedChannel(channel) as multiplexed:
            call = vad_pb2_grpc.TurnDetectionServiceStub(multiplexed).Detect(metadata=())
            await write_message(call, request_of("hello"), "vad")
            await read_text(call)
        with pytest.raises(PeerFailed):
            await read_text(call)


def opening(call_id, method=DETECT):
    return multiplex_pb2.ClientFrame(call_id=call_id, open=multiplex_pb2.Open(method=method))


def message(call_id, content):
    return multiplex_pb2.ClientFrame(call_id=call_id, message=content)


AUDIO = vad_pb2.DetectRequest(audio=audio_pb2.AudioChunk(pcm=bytes(100_000))).SerializeToString()


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([opening(1), opening(1)], "multiplex.call_id"),
        ([opening(7), opening(3)], "multiplex.call_id"),
        ([opening(1), message(1, request_of("stop reading").SerializeToString())] + [message(1, AUDIO)] * 4, "window"),
    ],
    ids=["an id twice", "an id that falls", "more than the window"],
)
async def test_a_protocol_violation_ends_the_stream(add, frames, code):
    async with serve_grpc(NAME, add, multiplex=True) as channel:
        stream = multiplex_pb2_grpc.MultiplexServiceStub(channel).Multiplex()
        for frame in frames:
            await write_message(stream, multiplex_pb2.MultiplexRequest(frames=[frame]), "vad")
        with pytest.raises(InvalidRequest, match=code):
            await read_message(stream, "vad", WITHIN_S)


async def test_an_undecodable_message_ends_only_its_call(add):
    async with serve_grpc(NAME, add, multiplex=True) as channel:
        stream = multiplex_pb2_grpc.MultiplexServiceStub(channel).Multiplex()
        late = [
            message(9, b"of no call"),
            multiplex_pb2.ClientFrame(call_id=9),
            opening(1),
            message(1, b"\xff\xff\xff"),
        ]
        await write_message(stream, multiplex_pb2.MultiplexRequest(frames=late), "vad")
        end = (await stream.read()).frames[0].end
        assert (end.status, end.error_code) == (grpc.StatusCode.INVALID_ARGUMENT.value[0], "multiplex.undecodable")
        again = [opening(2), message(2, request_of("well").SerializeToString())]
        await write_message(stream, multiplex_pb2.MultiplexRequest(frames=again), "vad")
        assert (await stream.read()).frames[0].message == response_of(":well").SerializeToString()
        stream.cancel()


async def test_a_server_without_multiplexing_refuses_the_calls(add):
    async with serve_grpc(NAME, add) as channel, MultiplexedChannel(channel) as multiplexed:
        with pytest.raises(PeerFailed):
            await read_text(vad_pb2_grpc.TurnDetectionServiceStub(multiplexed).Detect(metadata=()))


async def test_unary_calls_use_the_plain_channel(multiplexed):
    assert isinstance(multiplexed.unary_unary("/x/Y"), aio.UnaryUnaryMultiCallable)


async def test_a_call_takes_no_timeout_and_no_request_iterator(multiplexed):
    stub = vad_pb2_grpc.TurnDetectionServiceStub(multiplexed)
    with pytest.raises(TypeError):
        stub.Detect(timeout=1.0)
    with pytest.raises(TypeError):
        stub.Detect(iter([]))


async def test_a_call_is_not_an_async_iterator(start_call):
    with pytest.raises(TypeError):
        async for _ in start_call():
            pass


@pytest.mark.parametrize(
    ("metadata", "session"), [((("session-id", "first"), ("session-id", "second")), "second"), ((), "")]
)
async def test_of_several_values_of_a_metadata_key_the_last_is_sent(multiplexed, metadata, session):
    call = vad_pb2_grpc.TurnDetectionServiceStub(multiplexed).Detect(metadata=metadata)
    await write_message(call, request_of("hello"), "vad")
    assert await read_text(call) == f"{session}:hello"


async def test_binary_metadata_is_refused(multiplexed):
    with pytest.raises((TypeError, ValueError)):
        vad_pb2_grpc.TurnDetectionServiceStub(multiplexed).Detect(metadata=(("trace-bin", b"\xff\xfe"),))


async def test_the_server_sends_no_initial_metadata(start_call):
    call = start_call()
    await write_message(call, request_of("hello"), "vad")
    assert await read_text(call) == ":hello"
    assert list(await call.initial_metadata()) == []


async def test_channel_interceptors_see_the_stream_and_not_its_calls(add):
    seen = []

    class Interceptor(aio.StreamStreamClientInterceptor):
        async def intercept_stream_stream(self, continuation, client_call_details, request_iterator):
            seen.append(client_call_details.method)
            return await continuation(client_call_details, request_iterator)

    health = Health("test", EngineInfo("test", "none", "0"))
    server = GrpcServer(health, [(NAME, add)], reflect=False, multiplex=True)
    port = await server.start("127.0.0.1", 0)
    health.move_to(Status.READY)
    intercepted = aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[Interceptor()])
    async with MultiplexedChannel(intercepted) as multiplexed:
        for text in ("one", "two"):
            call = vad_pb2_grpc.TurnDetectionServiceStub(multiplexed).Detect()
            await write_message(call, request_of(text), "vad")
            assert await read_text(call) == f":{text}"
    await server.stop(0)
    assert [name.decode() if isinstance(name, bytes) else name for name in seen] == [
        "/anchor.multiplex.v1.MultiplexService/Multiplex"
    ]
