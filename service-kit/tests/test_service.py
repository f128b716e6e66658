"""The life cycle of a service, through its gRPC and HTTP servers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext

import grpc
import httpx
import pytest
from anchor.vad.v1 import vad_pb2, vad_pb2_grpc
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from service_kit.addresses import authority
from service_kit.engines.info import EngineInfo
from service_kit.errors import AnchorError, EngineFailed, InvalidRequest, NotReady, PeerFailed
from service_kit.health import Health, Status
from service_kit.rpc.channel import open_channel, read_message, write_message
from service_kit.service import Service, main
from service_kit.settings import ServiceSettings
from service_kit.testing.plugin import serve_grpc

NAME = "anchor.vad.v1.TurnDetectionService"
WITHIN_S = 20.0


class Detector(vad_pb2_grpc.TurnDetectionServiceServicer):
    """Answers each chunk with its start; refuses 13 ms, breaks at 42 ms, hangs at 666 ms."""

    async def Detect(self, request_iterator, context):
        async for request in request_iterator:
            if request.WhichOneof("request") == "config":
                continue
            if request.audio.start_ms == 13:
                raise InvalidRequest("vad.unlucky", "not at 13 ms")
            if request.audio.start_ms == 42:
                raise RuntimeError("a bug")
            if request.audio.start_ms == 666:
                await asyncio.sleep(60)
            event = vad_pb2.SpeechStarted(at_ms=request.audio.start_ms)
            await context.write(vad_pb2.DetectResponse(speech_started=event))


def add(server: aio.Server) -> None:
    vad_pb2_grpc.add_TurnDetectionServiceServicer_to_server(Detector(), server)


async def ask(channel: aio.Channel, start_ms: int, within_s: float = WITHIN_S):
    call = vad_pb2_grpc.TurnDetectionServiceStub(channel).Detect()
    request = vad_pb2.DetectRequest()
    request.audio.start_ms = start_ms
    try:
        await write_message(call, request, "vad")
        return await read_message(call, "vad", within_s)
    finally:
        call.cancel()


async def test_a_call_answers():
    async with serve_grpc(NAME, add) as channel:
        assert (await ask(channel, 7)).speech_started.at_ms == 7


async def test_an_error_keeps_its_code_and_kind_across_the_wire():
    async with serve_grpc(NAME, add) as channel:
        with pytest.raises(InvalidRequest) as raised:
            await ask(channel, 13)
    assert raised.value.code == "vad.unlucky"


async def test_a_bug_is_answered_without_its_details():
    async with serve_grpc(NAME, add) as channel:
        with pytest.raises(AnchorError) as raised:
            await ask(channel, 42)
    assert raised.value.message == "internal error"


async def test_a_silent_peer_fails_at_the_deadline():
    async with serve_grpc(NAME, add) as channel:
        with pytest.raises(PeerFailed, match="silent"):
            await ask(channel, 666, within_s=0.05)


async def test_a_vanished_peer_fails():
    async with serve_grpc(NAME, add) as channel:
        pass
    channel = open_channel("127.0.0.1:1")
    with pytest.raises(PeerFailed):
        await ask(channel, 1)
    await channel.close()


@pytest.mark.parametrize(("name", "everywhere"), [("ANCHOR_HOST", False), ("ANCHOR_INTERNAL_HOST", True)])
async def test_a_service_behind_the_orchestrator_is_on_loopback(monkeypatch, name, everywhere):
    """A bind to all addresses takes 127.0.0.2 as well, a bind to 127.0.0.1 does not."""
    monkeypatch.setenv(name, "0.0.0.0")
    settings = ServiceSettings(grpc_port=0, http_port=0, drain_s=0)
    stop = asyncio.Event()
    health = Health("test", EngineInfo("test", "tiny", "1"))
    service = Service(settings=settings, health=health, servicers=[(NAME, add)], lifespan=nullcontext)
    running = asyncio.create_task(service.run(stop))
    while not health.ready:
        await asyncio.sleep(0.01)
    reached = {port: is_reached("127.0.0.2", port) for port in (service.grpc_port, service.http_port)}
    assert is_reached("127.0.0.1", service.grpc_port)
    stop.set()
    await running
    assert set(reached.values()) == {everywhere}


def is_reached(host: str, port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex((host, port)) == 0


async def test_a_service_is_alive_while_it_loads_and_ready_afterwards():
    gate, stop = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        await gate.wait()
        yield

    settings = ServiceSettings(grpc_port=0, http_port=0, drain_s=0)
    health = Health("test", EngineInfo("test", "tiny", "1"))
    service = Service(settings=settings, health=health, servicers=[(NAME, add)], lifespan=lifespan)
    running = asyncio.create_task(service.run(stop))
    while service.http_port == 0:
        await asyncio.sleep(0.01)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.http_port}") as http:
        channel = open_channel(f"127.0.0.1:{service.grpc_port}")
        stub = health_pb2_grpc.HealthStub(channel)

        async def serving_status(name: str) -> int:
            return (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status

        assert (await http.get("/health")).json()["status"] == "loading"
        assert (await http.get("/ready")).status_code == 503
        assert await serving_status("") == health_pb2.HealthCheckResponse.SERVING
        assert await serving_status(NAME) == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(PeerFailed) as refused:
            # Without a write, which could meet the refusal.
            await read_message(vad_pb2_grpc.TurnDetectionServiceStub(channel).Detect(), "vad", WITHIN_S)
        assert refused.value.code == "test.not_ready"
        gate.set()
        while (await http.get("/ready")).status_code != 200:
            await asyncio.sleep(0.01)
        assert await serving_status(NAME) == health_pb2.HealthCheckResponse.SERVING
        assert (await ask(channel, 7)).speech_started.at_ms == 7
        assert "anchor_rpc_seconds_count" in (await http.get("/metrics")).text
        assert (await http.get("/info")).json()["engine"]["model"] == "tiny"
        stop.set()
        await running
        await channel.close()


async def test_a_stopped_service_drains_while_it_is_not_ready():
    stop, drained = asyncio.Event(), asyncio.Event()
    draining = asyncio.Event()

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        yield
        assert drained.is_set()

    async def drain() -> None:
        draining.set()
        await drained.wait()

    service = Service(
        settings=ServiceSettings(grpc_port=0, http_port=0, drain_s=0),
        health=Health("test", EngineInfo("test", "tiny", "1")),
        servicers=[(NAME, add)],
        lifespan=lifespan,
        drain=drain,
    )
    running = asyncio.create_task(service.run(stop))
    while not service.health.ready:
        await asyncio.sleep(0.01)
    stop.set()
    await draining.wait()
    channel = open_channel(f"127.0.0.1:{service.grpc_port}")
    stub = health_pb2_grpc.HealthStub(channel)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.http_port}") as http:
        assert (await http.get("/ready")).status_code == 503
        assert (await http.get("/health")).json()["status"] == "draining"
    status = (await stub.Check(health_pb2.HealthCheckRequest(service=NAME))).status
    assert status == health_pb2.HealthCheckResponse.NOT_SERVING
    await channel.close()
    assert not running.done()
    drained.set()
    await running


@pytest.mark.ipv6
@pytest.mark.parametrize("host", ["::1", "[::1]"])
async def test_a_service_listens_on_an_ipv6_address(host: str):
    stop = asyncio.Event()

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        yield

    settings = ServiceSettings(host=host, grpc_port=0, http_port=0, drain_s=0)
    health = Health("test", EngineInfo("test", "tiny", "1"))
    service = Service(settings=settings, health=health, servicers=[(NAME, add)], lifespan=lifespan)
    running = asyncio.create_task(service.run(stop))
    while not health.ready:
        await asyncio.sleep(0.01)
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"http://{authority(host, service.http_port)}/ready")).status_code == 200
    channel = open_channel(authority(host, service.grpc_port))
    assert (await ask(channel, 7)).speech_started.at_ms == 7
    stop.set()
    await running
    await channel.close()


@asynccontextmanager
async def dependent(
    unavailability: Callable[[], AsyncIterator[str]],
) -> AsyncGenerator[tuple[Health, asyncio.Task[None]]]:
    """Run a service whose engine depends on a server; yields its health and its task."""
    stop = asyncio.Event()

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        yield

    settings = ServiceSettings(grpc_port=0, http_port=0, drain_s=0)
    health = Health("test", EngineInfo("test", "tiny", "1"))
    service = Service(
        settings=settings, health=health, servicers=[(NAME, add)], lifespan=lifespan, unavailability=unavailability
    )
    running = asyncio.create_task(service.run(stop))
    try:
        yield health, running
    finally:
        stop.set()
        await asyncio.wait((running,))


async def test_a_service_is_ready_only_while_its_engine_is_available():
    reasons: asyncio.Queue[str] = asyncio.Queue()

    async def unavailability() -> AsyncGenerator[str]:
        while True:
            yield await reasons.get()

    async with dependent(unavailability) as (health, running), asyncio.timeout(WITHIN_S):
        while not health.ready:
            await asyncio.sleep(0.005)
        reasons.put_nowait("no server")
        while health.ready:
            await asyncio.sleep(0.005)
        assert (health.status, health.reason) == (Status.LOADING, "no server")
        reasons.put_nowait("")
        while not health.ready:
            await asyncio.sleep(0.005)
        assert health.reason == ""
    await running


async def test_a_service_stays_ready_when_its_engine_stops_reporting():
    async def unavailability() -> AsyncGenerator[str]:
        yield ""

    async with dependent(unavailability) as (health, running):
        while not health.ready:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        assert not running.done()
    await running


async def test_a_bug_in_the_availability_reports_ends_the_service():
    async def unavailability() -> AsyncGenerator[str]:
        yield "no server"
        raise ZeroDivisionError

    async with dependent(unavailability) as (_, running):
        await asyncio.wait((running,), timeout=WITHIN_S)
        assert running.done()
    with pytest.raises(ZeroDivisionError):
        await running


async def test_a_taken_port_is_reported_in_one_line():
    stop = asyncio.Event()
    blocker = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = blocker.sockets[0].getsockname()[1]
    settings = ServiceSettings(grpc_port=port, http_port=0)
    health = Health("test", EngineInfo("test", "tiny", "1"))
    service = Service(settings=settings, health=health, servicers=[(NAME, add)], lifespan=lambda: asyncio.timeout(None))
    with pytest.raises(OSError, match=str(port)):
        await service.run(stop)
    blocker.close()
    await blocker.wait_closed()


class EndsWith(Service):
    """A service whose run ends with an error, wrapped by a task group."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._fail())

    async def _fail(self) -> None:
        raise self._error


def test_an_engine_that_gives_up_ends_the_process_with_one_line():
    with pytest.raises(SystemExit, match=r"^service could not start: .*the decoder does not start$"):
        main(lambda: EndsWith(EngineFailed("stt.decoder_unavailable", "the decoder does not start")))


def test_a_bug_ends_the_process_with_its_traceback():
    with pytest.raises(ExceptionGroup) as raised:
        main(lambda: EndsWith(ValueError("a bug")))
    assert isinstance(raised.value.exceptions[0], ValueError)


def test_not_ready_is_a_kind_of_unavailable():
    assert NotReady.status is grpc.StatusCode.UNAVAILABLE
