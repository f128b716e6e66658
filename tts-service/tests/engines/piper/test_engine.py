"""The engine `piper` against a fake of Piper's server: requests, and all failures."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import wave
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from service_kit.errors import AnchorError, AtCapacity, EngineFailed, PeerFailed
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tts_service.app import build
from tts_service.engine import PhraseRequest, Samples, Style, SynthesisConfig, Voice
from tts_service.engines.piper.engine import PiperEngine, piper_engine
from tts_service.settings import TtsSettings

HINDI, GERMAN = "hi_IN-rohan-medium", "de_DE-thorsten-low"
RATES_HZ = {HINDI: 22_050, GERMAN: 16_000}


def wav(rate_hz: int, seconds: float, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as clip:
        clip.setnchannels(channels)
        clip.setsampwidth(2)
        clip.setframerate(rate_hz)
        clip.writeframes(np.full(int(rate_hz * seconds) * channels, 8192, "<i2").tobytes())
    return file.getvalue()


class PiperServer:
    """Responds like Piper's server: whole WAV files with media type HTML; its default voice for unknown voices."""

    def __init__(self) -> None:
        self.url = ""
        # The real server lists "anton.onnx" as "ant".
        self.listed: Any = {
            name: {"audio": {"sample_rate": rate}, "inference": {"length_scale": 1.5}}
            for name, rate in {GERMAN: 16_000, "ant": 16_000, HINDI: 22_050}.items()
        }
        self.requests: list[dict[str, Any]] = []
        self.status = 200
        self.response: bytes | None = None
        self.release = asyncio.Event()
        self.release.set()
        self.in_progress = self.most_in_progress = self.aborted = 0

    async def voices(self, request: Request) -> Response:
        return JSONResponse(self.listed) if self.status == 200 else Response("<html>", self.status)

    async def synthesize(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.requests.append(body)
        self.in_progress += 1
        self.most_in_progress = max(self.most_in_progress, self.in_progress)
        waiting = asyncio.create_task(self.release.wait())
        leaving = asyncio.create_task(request.receive())
        try:
            await asyncio.wait((waiting, leaving), return_when=asyncio.FIRST_COMPLETED)
            self.aborted += not waiting.done()
        finally:
            waiting.cancel()
            leaving.cancel()
            self.in_progress -= 1
        answer = wav(RATES_HZ.get(body["voice"], 22_050), 0.5) if self.response is None else self.response
        return Response(answer, self.status, media_type="text/html")


@asynccontextmanager
async def listening(server: PiperServer) -> AsyncGenerator[None]:
    routes = [Route("/voices", server.voices), Route("/synthesize", server.synthesize, methods=["POST"])]
    port = int(server.url.rpartition(":")[2]) if server.url else 0
    config = uvicorn.Config(Starlette(routes=routes), port=port, log_level="error", lifespan="off")
    served = uvicorn.Server(config)
    running = asyncio.create_task(served.serve())
    while not served.started:
        await asyncio.sleep(0.01)
    server.url = f"http://127.0.0.1:{served.servers[0].sockets[0].getsockname()[1]}"
    yield
    server.release.set()
    served.should_exit = True
    await running


@pytest.fixture
async def server() -> AsyncGenerator[PiperServer]:
    server = PiperServer()
    async with listening(server):
        yield server


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A bound port without a listener: connections to it are refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def settings(server: PiperServer) -> TtsSettings:
    return TtsSettings(engine="piper", piper_url=server.url, piper_phrase_s=20.0, piper_places=2)


@pytest.fixture
async def engine(settings: TtsSettings) -> AsyncGenerator[PiperEngine]:
    engine = PiperEngine(settings)
    async with engine.lifespan():
        yield engine


async def speak(engine: PiperEngine, text: str, name: str = HINDI, pace: float = 1.0) -> np.ndarray[Any, Any]:
    config = SynthesisConfig(Voice(name, name, ("hi",)), "hi", Style(pace))
    async with engine.synthesize(PhraseRequest(0, text), config) as speech:
        pieces = [piece.samples async for piece in speech if isinstance(piece, Samples)]
    return np.concatenate(pieces)


async def failure(engine: PiperEngine) -> AnchorError:
    with pytest.raises(AnchorError) as failed:
        await speak(engine, "नमस्ते")
    return failed.value


async def test_server_voices_are_listed_with_preferred_ones_first(engine: PiperEngine) -> None:
    assert [(voice.id, voice.name, voice.languages) for voice in engine.voices()] == [
        (HINDI, "Rohan, hi_IN, medium", ("hi",)),
        (GERMAN, "Thorsten, de_DE, low", ("de",)),
    ]
    assert engine.info.languages == ("hi", "de")


async def test_preferred_voice_is_loaded_at_the_start(engine: PiperEngine, server: PiperServer) -> None:
    assert [asked["voice"] for asked in server.requests] == [HINDI]


@pytest.mark.parametrize("name", [HINDI, GERMAN])
async def test_speech_is_resampled_to_24_khz(engine: PiperEngine, name: str) -> None:
    samples = await speak(engine, "नमस्ते", name)
    assert samples.size == pytest.approx(12_000, abs=2)
    assert samples[6000] == pytest.approx(0.25, abs=0.01)


async def test_pace_divides_the_length_scale_of_the_voice(engine: PiperEngine, server: PiperServer) -> None:
    await speak(engine, "नमस्ते", pace=2.0)
    assert server.requests[-1] == {"text": "नमस्ते", "voice": HINDI, "length_scale": 0.75}


async def test_double_brackets_are_not_sent_as_phonemes(engine: PiperEngine, server: PiperServer) -> None:
    await speak(engine, "see [[link]] and [[[more]]]")
    assert "[[" not in server.requests[-1]["text"]


async def test_concurrent_requests_are_limited(engine: PiperEngine, server: PiperServer) -> None:
    server.most_in_progress = 0
    await asyncio.gather(*(speak(engine, "नमस्ते") for _ in range(5)))
    assert server.most_in_progress <= 2


async def test_cancelled_phrase_closes_its_request(engine: PiperEngine, server: PiperServer) -> None:
    server.release.clear()
    speaking = asyncio.create_task(speak(engine, "नमस्ते"))
    async with asyncio.timeout(20):
        while not server.in_progress:
            await asyncio.sleep(0.01)
        speaking.cancel()
        while not server.aborted:
            await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError):
        await speaking


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        ({"status": 500}, PeerFailed, "tts.server_failed"),
        ({"status": 404}, PeerFailed, "tts.server_refused"),
        ({"status": 503}, AtCapacity, "tts.server_busy"),
        ({"response": b"<html>"}, PeerFailed, "tts.server_garbled"),
        ({"response": b""}, PeerFailed, "tts.server_garbled"),
        ({"response": wav(22_050, 0.1, channels=2)}, PeerFailed, "tts.server_garbled"),
        ({"response": wav(100, 1)}, PeerFailed, "tts.server_garbled"),
        ({"response": wav(22_050, 0.1)[:-1]}, PeerFailed, "tts.server_garbled"),
        ({"response": wav(22_050, 0.1)[:16] + b"\xff" * 4 + wav(22_050, 0.1)[20:]}, PeerFailed, "tts.server_garbled"),
        ({"response": bytes(17 * 1024 * 1024)}, PeerFailed, "tts.server_garbled"),
    ],
)
async def test_server_failures_have_distinct_codes(
    engine: PiperEngine, server: PiperServer, change: dict[str, Any], kind: type[AnchorError], code: str
) -> None:
    for name, value in change.items():
        setattr(server, name, value)
    failed = await failure(engine)
    assert (type(failed), failed.code) == (kind, code)
    assert failed.retryable


async def test_phrase_has_a_timeout(settings: TtsSettings, server: PiperServer) -> None:
    engine = PiperEngine(settings.model_copy(update={"piper_phrase_s": 1.0}))
    async with engine.lifespan():
        server.release.clear()
        assert (await failure(engine)).code == "tts.server_slow"


async def test_truncated_response_is_a_lost_connection() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        listing = request.startswith(b"GET")
        body = json.dumps({HINDI: {}}).encode() if listing else wav(22_050, 1)
        whole = len(body) + (0 if listing else 100)
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % whole + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        engine = PiperEngine(TtsSettings(piper_url=url, piper_voices=()))
        async with engine.lifespan():
            assert (await failure(engine)).code == "tts.connection_lost"


async def test_missing_voice_is_not_replaced_by_the_default_voice(engine: PiperEngine, server: PiperServer) -> None:
    del server.listed[HINDI]
    await engine.check_server()
    asked = len(server.requests)
    failed = await failure(engine)
    assert (type(failed), failed.code) == (EngineFailed, "tts.voice_lost")
    assert len(server.requests) == asked


@pytest.mark.parametrize(
    ("listed", "code"),
    [
        ({}, "tts.model_missing"),
        ({"ant": {}}, "tts.model_missing"),
        ([], "tts.server_garbled"),
        ({HINDI: None}, "tts.server_garbled"),
        ({HINDI: {"inference": {"length_scale": "long"}}}, "tts.server_garbled"),
    ],
)
async def test_start_fails_without_a_usable_voice(
    settings: TtsSettings, server: PiperServer, listed: Any, code: str
) -> None:
    server.listed = listed
    with pytest.raises(PeerFailed) as failed:
        async with PiperEngine(settings).lifespan():
            pass
    assert failed.value.code == code


async def test_start_fails_without_a_server(unused_port: int) -> None:
    with pytest.raises(PeerFailed) as failed:
        async with piper_engine(TtsSettings(piper_url=f"http://127.0.0.1:{unused_port}")).lifespan():
            pass
    assert failed.value.code == "tts.server_unreachable"


async def test_readiness_follows_the_server(server: PiperServer, settings: TtsSettings) -> None:
    stop = asyncio.Event()
    service = build(settings.model_copy(update={"grpc_port": 0, "http_port": 0, "log_level": "ERROR"}))
    server.status = 503
    running = asyncio.create_task(service.run(stop))

    async def until(ready: bool) -> dict[str, Any]:
        async with asyncio.timeout(60), httpx.AsyncClient() as http:
            while service.health.ready is not ready or (not service.health.describe()["reason"] and not ready):
                await asyncio.sleep(0.01)
            answer = await http.get(f"http://127.0.0.1:{service.http_port}/ready")
            assert answer.status_code == (200 if ready else 503)
            return answer.json()

    assert "tts.server_busy" in (await until(ready=False))["reason"]
    server.status = 200
    assert (await until(ready=True))["degraded"] == ""
    server.status = 500
    assert "tts.server_failed" in (await until(ready=False))["reason"]
    server.status = 200
    await until(ready=True)
    async with httpx.AsyncClient() as http:
        info = (await http.get(f"http://127.0.0.1:{service.http_port}/info")).json()
    assert info["engine"]["languages"] == ["de", "hi"]
    assert info["routes"] == {"de": ["piper"], "hi": ["piper"]}
    stop.set()
    await running
