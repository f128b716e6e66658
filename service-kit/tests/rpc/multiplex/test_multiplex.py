"""Many calls on one stream: each means what a call of its own would mean."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise

import grpc
import pytest
from anchor.audio.v1 import audio_pb2
from anchor.carrier.v1 import carrier_pb2, carrier_pb2_grpc
from anchor.vad.v1 import vad_pb2, vad_pb2_grpc
from grpc import aio
from service_kit.engines.info import EngineInfo
from service_kit.errors import AtCapacity, InvalidRequest, PeerFailed, Unsupported
from service_kit.health import Health, Status
from service_kit.observability.context import SESSION_ID
from service_kit.rpc.channel import open_channel, read_message, write_message
from service_kit.rpc.multiplex.client import MultiplexedChannel
from service_kit.rpc.multiplex.frames import MAX_CARRIED_BYTES, WINDOW_BYTES, Outgoing, beat_s
from service_kit.rpc.server import GrpcServer
from service_kit.testing.plugin import serve_grpc

NAME = "anchor.vad.v1.TurnDetectionService"
WITHIN_S = 20.0
DETECT = f"/{NAME}/Detect"


class Echo(vad_pb2_grpc.TurnDetectionServiceServicer):
    """Answers a transcript with its session and length; some texts are orders."""

    def __init__(self):
        self.let_go = asyncio.Event()
        self.written = 0
        self.taken = 0
        self.resume = asyncio.Event()

    async def Detect(self, request_iterator, context):
        try:
            async for request in request_iterator:
                self.taken += 1
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
                    await context.write(said("x" * (MAX_CARRIED_BYTES + 1)))
                elif text:
                    await context.write(said(f"{SESSION_ID.get()}:{text}"))
            await context.write(said("goodbye"))
        except asyncio.CancelledError:
            self.let_go.set()
            raise

    async def _flood(self, context):
        while True:
            await context.write(said("x" * 10_000))
            self.written += 1


def said(text):
    return vad_pb2.DetectResponse(turn_end_predicted=vad_pb2.TurnEndPredicted(predictor=text))


def saying(text):
    return vad_pb2.DetectRequest(partial_transcript=vad_pb2.PartialTranscript(text=text))


async def heard(call):
    response = await read_message(call, "vad", WITHIN_S)
    return response and response.turn_end_predicted.predictor


@pytest.fixture
def echo():
    return Echo()


@pytest.fixture
def add(echo):
    return lambda server: vad_pb2_grpc.add_TurnDetectionServiceServicer_to_server(echo, server)


@pytest.fixture
async def carrier(add):
    async with serve_grpc(NAME, add, carries=True) as channel, MultiplexedChannel(channel) as carrier:
        yield carrier


@pytest.fixture
def begin(carrier):
    stub = vad_pb2_grpc.TurnDetectionServiceStub(carrier)
    return lambda session="": stub.Detect(metadata=(("session-id", session),) if session else ())


async def test_calls_on_one_stream_are_kept_apart(begin):
    calls = {name: begin(name) for name in "abcdefghij"}
    for count in range(5):
        for call in calls.values():
            await write_message(call, saying(str(count)), "vad")
    for name, call in calls.items():
        assert [await heard(call) for _ in range(5)] == [f"{name}:{count}" for count in range(5)]


async def test_a_client_that_has_said_all_hears_the_rest(begin):
    call = begin("s")
    await write_message(call, saying("hello"), "vad")
    await call.done_writing()
    assert [await heard(call) for _ in range(4)] == ["s:hello", "goodbye", None, None]
    assert await call.code() is grpc.StatusCode.OK


async def test_a_call_fails_alone_and_as_its_own_error(begin):
    failing, living = begin(), begin("b")
    await write_message(failing, saying("fail"), "vad")
    with pytest.raises(AtCapacity) as failure:
        await heard(failing)
    assert (failure.value.code, failure.value.message) == ("vad.full", "no place")
    with pytest.raises(AtCapacity):
        await write_message(failing, saying("more"), "vad")
    await write_message(living, saying("still here"), "vad")
    assert await heard(living) == "b:still here"


async def test_a_bug_is_told_as_one_and_says_nothing_more(begin, caplog):
    call = begin()
    await write_message(call, saying("break"), "vad")
    with pytest.raises(Exception, match="internal error"):
        await heard(call)
    assert "call broke" in caplog.text


async def test_cancelling_a_call_ends_its_work_and_no_other(begin, echo):
    call, other = begin(), begin("o")
    await write_message(call, saying("flood"), "vad")
    await heard(call)
    assert call.cancel()
    assert not call.cancel()
    async with asyncio.timeout(WITHIN_S):
        await echo.let_go.wait()
    await write_message(other, saying("alive"), "vad")
    assert await heard(other) == "o:alive"


async def test_who_does_not_read_holds_up_only_themselves(begin, echo):
    flooded, other = begin(), begin("o")
    await write_message(flooded, saying("flood"), "vad")
    await write_message(other, saying("one"), "vad")
    assert await heard(other) == "o:one"
    before = -1
    while before != echo.written:
        before = echo.written
        await asyncio.sleep(0.1)
    assert echo.written * 10_000 <= WINDOW_BYTES + 10_000
    for _ in range(100):
        assert len(await heard(flooded)) == 10_000
    flooded.cancel()


async def test_a_server_that_does_not_read_holds_up_its_client(begin, echo):
    call = begin("s")
    await write_message(call, saying("stop reading"), "vad")
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
    await write_message(call, saying("done"), "vad")
    assert await heard(call) == "s:done"


async def test_a_message_too_large_is_refused_on_either_side(begin):
    call = begin()
    with pytest.raises(InvalidRequest, match="message_too_large"):
        await write_message(call, saying("x" * (MAX_CARRIED_BYTES + 1)), "vad")
    await write_message(call, saying("huge"), "vad")
    with pytest.raises(Exception, match="message_too_large"):
        await heard(call)


async def test_a_method_nobody_serves_is_unsupported(carrier):
    method = carrier.stream_stream("/anchor.vad.v1.Nothing/Detect", bytes, bytes)
    with pytest.raises(Unsupported):
        await read_message(method(), "vad", WITHIN_S)


async def test_a_lost_server_ends_all_calls_and_is_called_again(add):
    @asynccontextmanager
    async def server(port):
        health = Health("test", EngineInfo("test", "none", "0"))
        server = GrpcServer(health, [(NAME, add)], reflect=False, carries=True)
        bound = await server.start("127.0.0.1", port)
        health.move_to(Status.READY)
        yield bound
        await server.stop(0)

    async with server(0) as port:
        carrier = await MultiplexedChannel(open_channel(f"127.0.0.1:{port}")).__aenter__()
        stub = vad_pb2_grpc.TurnDetectionServiceStub(carrier)
        calls = [stub.Detect(metadata=()) for _ in range(3)]
        for call in calls:
            await write_message(call, saying("hello"), "vad")
            assert await heard(call) == ":hello"
    for call in calls:
        with pytest.raises(PeerFailed):
            await heard(call)
    with pytest.raises(PeerFailed):
        await heard(stub.Detect(metadata=()))
    async with server(port):
        for _ in range(50):
            call = stub.Detect(metadata=())
            try:
                await write_message(call, saying("again"), "vad")
                assert await heard(call) == ":again"
                break
            except PeerFailed:
                await asyncio.sleep(0.1)
        else:
            pytest.fail("the server was not found again")
        await carrier.__aexit__(None, None, None)


async def test_a_call_after_the_end_fails_at_once(add):
    async with serve_grpc(NAME, add, carries=True) as channel:
        async with MultiplexedChannel(channel) as carrier:
            call = vad_pb2_grpc.TurnDetectionServiceStub(carrier).Detect(metadata=())
            await write_message(call, saying("hello"), "vad")
            await heard(call)
        with pytest.raises(PeerFailed):
            await heard(call)


def opening(call_id, method=DETECT):
    return carrier_pb2.ClientFrame(call_id=call_id, open=carrier_pb2.Open(method=method))


def message(call_id, content):
    return carrier_pb2.ClientFrame(call_id=call_id, message=content)


AUDIO = vad_pb2.DetectRequest(audio=audio_pb2.AudioChunk(pcm=bytes(100_000))).SerializeToString()


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([opening(1), opening(1)], "carrier.call_id"),
        ([opening(7), opening(3)], "carrier.call_id"),
        ([opening(1), message(1, saying("stop reading").SerializeToString())] + [message(1, AUDIO)] * 4, "window"),
    ],
    ids=["an id twice", "an id that falls", "more than the window"],
)
async def test_a_client_that_breaks_the_rules_loses_its_carrier(add, frames, code):
    async with serve_grpc(NAME, add, carries=True) as channel:
        stream = carrier_pb2_grpc.CarrierServiceStub(channel).Carry()
        for frame in frames:
            await write_message(stream, carrier_pb2.CarryRequest(frames=[frame]), "vad")
        with pytest.raises(InvalidRequest, match=code):
            await read_message(stream, "vad", WITHIN_S)


async def test_what_is_no_message_of_the_method_ends_the_call_only(add):
    async with serve_grpc(NAME, add, carries=True) as channel:
        stream = carrier_pb2_grpc.CarrierServiceStub(channel).Carry()
        late = [message(9, b"of no call"), carrier_pb2.ClientFrame(call_id=9), opening(1), message(1, b"\xff\xff\xff")]
        await write_message(stream, carrier_pb2.CarryRequest(frames=late), "vad")
        end = (await stream.read()).frames[0].end
        assert (end.status, end.error_code) == (grpc.StatusCode.INVALID_ARGUMENT.value[0], "carrier.undecodable")
        again = [opening(2), message(2, saying("well").SerializeToString())]
        await write_message(stream, carrier_pb2.CarryRequest(frames=again), "vad")
        assert (await stream.read()).frames[0].message == said(":well").SerializeToString()
        stream.cancel()


async def test_what_gathers_during_a_write_leaves_as_one_batch():
    outgoing = Outgoing()
    batches = asyncio.Queue()
    written = asyncio.Event()

    async def write_slowly(frames):
        batches.put_nowait([frame.call_id for frame in frames])
        await written.wait()

    writing = asyncio.create_task(outgoing.write_to(write_slowly, lambda: 1))
    async with asyncio.timeout(WITHIN_S):
        outgoing.put(carrier_pb2.ClientFrame(call_id=1))
        assert await batches.get() == [1]
        for call_id in (2, 3, 4):
            outgoing.put(carrier_pb2.ClientFrame(call_id=call_id))
        outgoing.put(message(5, bytes(MAX_CARRIED_BYTES)))
        written.set()
        assert [await batches.get() for _ in range(2)] == [[2, 3, 4], [5]]
    writing.cancel()


async def test_with_many_calls_batches_keep_a_beat():
    outgoing = Outgoing()
    loop = asyncio.get_running_loop()
    batches = []

    async def note(frames):
        batches.append((loop.time(), len(frames)))

    writing = asyncio.create_task(outgoing.write_to(note, lambda: 60))
    for _ in range(40):
        outgoing.put(carrier_pb2.ClientFrame(call_id=1))
        await asyncio.sleep(0.002)
    async with asyncio.timeout(WITHIN_S):
        while sum(count for _, count in batches) < 40:
            await asyncio.sleep(0.002)
    writing.cancel()
    assert batches[0][1] == 1, "the first has nothing to wait for"
    times_s = [at_s for at_s, _ in batches]
    assert min(after - before for before, after in pairwise(times_s)) > 0.010


async def test_a_few_calls_are_not_held_up():
    assert (beat_s(1), beat_s(4)) == (0, 0)
    assert 0 < beat_s(5) < beat_s(12) < beat_s(30) == beat_s(1000) < 0.020


async def test_without_the_carrier_the_server_has_no_such_service(add):
    async with serve_grpc(NAME, add) as channel, MultiplexedChannel(channel) as carrier:
        with pytest.raises(PeerFailed):
            await heard(vad_pb2_grpc.TurnDetectionServiceStub(carrier).Detect(metadata=()))


async def test_other_kinds_of_calls_go_their_own_way(carrier):
    assert isinstance(carrier.unary_unary("/x/Y"), aio.UnaryUnaryMultiCallable)
