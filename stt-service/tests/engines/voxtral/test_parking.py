"""Parking the Voxtral engine by vLLM's sleep mode."""

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
from stt_service.engines.voxtral.parking import SleepModeClient
from stt_service.settings import SttSettings

SECOND = bytes(MICROPHONE.bytes_for(1000))


class SleepModeServer:
    """vLLM's routes of sleep mode. A transcription must not arrive while it is asleep: it would hang."""

    def __init__(self) -> None:
        self.url = ""
        self.asleep = False
        self.requests: list[str] = []
        self.status = 200
        self.page: object = None
        self.released = asyncio.Event()
        self.released.set()
        # Change the state, but break off the response.
        self.breaks_off = False

    async def models(self, request: Request) -> Response:
        return JSONResponse({"data": [{"id": "voxtral"}]})

    async def transcribe(self, request: Request) -> Response:
        assert not self.asleep
        await self.released.wait()
        word = 'data: {"choices":[{"delta":{"content":" ferry"}}]}\n\n'
        return StreamingResponse(iter([word, "data: [DONE]\n\n"]), media_type="text/event-stream")

    async def is_sleeping(self, request: Request) -> Response:
        return JSONResponse(self.page or {"is_sleeping": self.asleep})

    async def sleep(self, request: Request) -> Response:
        return self._move(True, f"sleep {request.query_params['level']}")

    async def wake_up(self, request: Request) -> Response:
        return self._move(False, "wake")

    def _move(self, asleep: bool, name: str) -> Response:
        self.requests.append(name)
        if self.status == 200:
            self.asleep = asleep
        # A response shorter than its length breaks off.
        return Response(status_code=self.status, headers={"content-length": "9"} if self.breaks_off else None)


@asynccontextmanager
async def serving(known: SleepModeServer, *, sleep_mode: bool = True) -> AsyncGenerator[SttSettings]:
    """Serve `known` on a free port; yields settings for it."""
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
        known.released.set()
        server.should_exit = True
        await running


@pytest.fixture
def server() -> SleepModeServer:
    return SleepModeServer()


async def test_a_parked_engine_refuses_work_until_it_is_woken(server):
    async with serving(server) as settings:
        engine = VoxtralEngine(settings)
        assert isinstance(engine, ParkableEngine)
        async with engine.lifespan():
            await engine.park()
            assert (engine.parked, server.asleep, server.requests) == (True, True, ["sleep 1"])
            with pytest.raises(NotReady) as refusal:
                engine.open_stream(TranscriptionConfig(language="en"))
            assert refusal.value.code == "stt.parked"
            with pytest.raises(NotReady):
                await engine.transcribe_clip(SECOND, "en", final=True)
            await engine.wake()
            assert not engine.parked
            assert (await engine.transcribe_clip(SECOND, "en", final=True)).text == "ferry"
            assert await engine.memory() == {}


async def test_an_engine_that_transcribes_cannot_be_parked(server):
    async with serving(server) as settings:
        engine = VoxtralEngine(settings)
        async with engine.lifespan():
            server.released.clear()
            transcribing = asyncio.create_task(engine.transcribe_clip(SECOND, "en", final=True))
            await asyncio.sleep(0.05)
            with pytest.raises(AtCapacity):
                await engine.park()
            server.released.set()
            await transcribing
            await engine.park()


async def test_a_server_parked_by_an_earlier_run_is_woken_at_the_start(server):
    server.asleep = True
    async with serving(server) as settings, VoxtralEngine(settings).lifespan():
        assert server.requests == ["wake"]
        assert not server.asleep


async def test_a_server_without_sleep_mode_works_but_cannot_be_parked(server):
    async with serving(server, sleep_mode=False) as settings:
        engine = VoxtralEngine(settings)
        async with engine.lifespan():
            with pytest.raises(Unsupported, match="sleep mode"):
                await engine.park()
            assert not engine.parked
            assert (await engine.transcribe_clip(SECOND, "en", final=True)).text == "ferry"


async def test_a_refused_transition_leaves_the_state_unchanged(server):
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


async def test_a_server_that_may_be_asleep_counts_as_parked_until_woken(server):
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
            assert (await engine.transcribe_clip(SECOND, "en", final=True)).text == "ferry"


async def test_an_unreachable_or_malformed_server_is_an_error(server):
    async with SleepModeClient("http://127.0.0.1:9/v1", "", 20) as client:
        with pytest.raises(PeerFailed) as unreachable:
            await client.is_asleep()
    assert unreachable.value.code == "stt.server_unreachable"
    server.page = ["yes"]
    async with serving(server), SleepModeClient(server.url, "secret", 20) as client:
        with pytest.raises(PeerFailed) as malformed:
            await client.is_asleep()
    assert malformed.value.code == "stt.server_garbled"
