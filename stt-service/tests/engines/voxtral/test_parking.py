"""Voxtral's server put to sleep and woken, as vLLM does it in sleep mode."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from service_kit.audio import MICROPHONE
from service_kit.engines.memory import ParkableEngine
from service_kit.errors import AtCapacity, NotReady, PeerFailed, Unsupported
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from stt_service.engine import TranscriptionConfig
from stt_service.engines.voxtral.engine import VoxtralEngine
from stt_service.engines.voxtral.parking import ServerSleep
from stt_service.settings import SttSettings

SECOND = bytes(MICROPHONE.bytes_for(1000))


class SleepyServer:
    """vLLM's routes, as far as sleep goes: while it sleeps, a transcription would hang."""

    def __init__(self) -> None:
        self.url = ""
        self.asleep = False
        self.asked: list[str] = []
        self.status = 200
        self.page: object = None
        self.let_go = asyncio.Event()
        self.let_go.set()
        # Whether it moves, and does not live to tell.
        self.breaks_off = False

    async def models(self, request: Request) -> Response:
        return JSONResponse({"data": [{"id": "voxtral"}]})

    async def transcribe(self, request: Request) -> Response:
        assert not self.asleep
        await self.let_go.wait()
        word = 'data: {"choices":[{"delta":{"content":" ferry"}}]}\n\n'
        return StreamingResponse(iter([word, "data: [DONE]\n\n"]), media_type="text/event-stream")

    async def is_sleeping(self, request: Request) -> Response:
        return JSONResponse(self.page or {"is_sleeping": self.asleep})

    async def sleep(self, request: Request) -> Response:
        return self._move(True, f"sleep {request.query_params['level']}")

    async def wake_up(self, request: Request) -> Response:
        return self._move(False, "wake")

    def _move(self, asleep: bool, name: str) -> Response:
        self.asked.append(name)
        if self.status == 200:
            self.asleep = asleep
        # Half an answer is none.
        return Response(status_code=self.status, headers={"content-length": "9"} if self.breaks_off else None)


@asynccontextmanager
async def serving(known: SleepyServer, *, sleep_mode: bool = True) -> AsyncGenerator[SttSettings]:
    """The server on a free port; yields settings for it."""
    routes = [
        Route("/v1/models", known.models),
        Route("/v1/audio/transcriptions", known.transcribe, methods=["POST"]),
    ]
    if sleep_mode:
        routes += [
            Route("/is_sleeping", known.is_sleeping),
            Route("/sleep", known.sleep, methods=["POST"]),
            Route("/wake_up", known.wake_up, methods=["POST"]),
        ]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=0, log_level="critical", lifespan="off"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    known.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    try:
        yield SttSettings(engine="voxtral", voxtral_url=known.url, voxtral_start_s=5)
    finally:
        known.let_go.set()
        server.should_exit = True
        await running


@pytest.fixture
def server() -> SleepyServer:
    return SleepyServer()


async def test_a_parked_engine_sleeps_refuses_work_and_works_again_when_woken(server):
    async with serving(server) as settings:
        engine = VoxtralEngine(settings)
        assert isinstance(engine, ParkableEngine)
        async with engine.lifespan():
            await engine.park()
            assert (engine.parked, server.asleep, server.asked) == (True, True, ["sleep 1"])
            with pytest.raises(NotReady) as refusal:
                engine.open(TranscriptionConfig(language="en"))
            assert refusal.value.code == "stt.parked"
            with pytest.raises(NotReady):
                await engine.recognise(SECOND, "en", final=True)
            await engine.wake()
            assert not engine.parked
            assert (await engine.recognise(SECOND, "en", final=True)).text == "ferry"
            assert await engine.memory() == {}


async def test_while_it_transcribes_it_is_not_parked(server):
    async with serving(server) as settings:
        engine = VoxtralEngine(settings)
        async with engine.lifespan():
            server.let_go.clear()
            reading = asyncio.create_task(engine.recognise(SECOND, "en", final=True))
            await asyncio.sleep(0.05)
            with pytest.raises(AtCapacity):
                await engine.park()
            server.let_go.set()
            await reading
            await engine.park()


async def test_a_service_that_starts_wakes_what_an_earlier_run_had_parked(server):
    server.asleep = True
    async with serving(server) as settings, VoxtralEngine(settings).lifespan():
        assert server.asked == ["wake"]
        assert not server.asleep


async def test_a_server_without_sleep_mode_works_and_says_that_it_cannot_sleep(server):
    async with serving(server, sleep_mode=False) as settings:
        engine = VoxtralEngine(settings)
        async with engine.lifespan():
            with pytest.raises(Unsupported, match="sleep mode"):
                await engine.park()
            assert not engine.parked
            assert (await engine.recognise(SECOND, "en", final=True)).text == "ferry"


async def test_moves_that_the_server_refuses_leave_it_as_it_was(server):
    async with serving(server) as settings:
        engine = VoxtralEngine(settings)
        async with engine.lifespan():
            server.status = 500
            with pytest.raises(PeerFailed, match="HTTP 500"):
                await engine.park()
            assert not engine.parked
            server.status = 200
            await engine.park()
            server.status = 500
            with pytest.raises(PeerFailed):
                await engine.wake()
            assert engine.parked


async def test_a_server_that_may_have_fallen_asleep_counts_as_parked_until_it_is_woken(server):
    async with serving(server) as settings:
        engine = VoxtralEngine(settings)
        async with engine.lifespan():
            server.breaks_off = True
            with pytest.raises(PeerFailed):
                await engine.park()
            assert server.asleep
            assert engine.parked
            server.breaks_off = False
            await engine.wake()
            assert (await engine.recognise(SECOND, "en", final=True)).text == "ferry"


async def test_a_server_that_is_gone_or_makes_no_sense_is_told_from_one_that_is_awake(server):
    async with ServerSleep("http://127.0.0.1:9/v1", "", 20) as nobody:
        with pytest.raises(PeerFailed) as gone:
            await nobody.is_asleep()
    assert gone.value.code == "stt.server_unreachable"
    server.page = ["yes"]
    async with serving(server), ServerSleep(server.url, "secret", 20) as sleep:
        with pytest.raises(PeerFailed) as garbled:
            await sleep.is_asleep()
    assert garbled.value.code == "stt.server_garbled"
