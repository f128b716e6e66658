"""A microphone at a real server, with any engine behind it, and the server that one of them needs."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import wave
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from anchor.stt.v1 import stt_pb2, stt_pb2_grpc
from service_kit.engines.info import engine_class
from service_kit.rpc.channel import read_message, write_message
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from stt_service.app import ENGINES
from stt_service.servicer import NAME, SpeechToTextServicer
from stt_service.settings import SttSettings

pytest_plugins = ["service_kit.testing.plugin"]

FERRY = """---
title: the ferry
keywords: boat, crossing
questions:
- When does the ferry leave?
---
The ferry to the island leaves at nine.
"""
FOOTBALL = """---
title: the football match
questions:
- Who won the football match?
---
The harbor team won the football match on Saturday.
"""
FRAME_BYTES = 1024
FRAME_MS = 32
# In place of an event: the server closes the connection in mid-answer.
BREAK_OFF = "break off"


class Microphone:
    """A client of one `Transcribe` call, which keeps the audio clock."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self._clock_ms = 0

    async def send(self, **request: Any) -> None:
        await write_message(self.call, stt_pb2.TranscribeRequest(**request), "stt")

    async def configure(self, language: str = "en", sample_rate_hz: int = 16000, partials: bool = False) -> None:
        config = {"language": language, "sample_rate_hz": sample_rate_hz, "partial_transcripts": partials}
        await self.send(config=config)

    async def speak(self, pcm: bytes) -> None:
        for frame in (pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)):
            await self.send(audio={"start_ms": self._clock_ms, "pcm": frame})
            self._clock_ms += FRAME_MS

    async def flush(self, segment_id: int = 1) -> None:
        await self.send(flush={"segment_id": segment_id})

    async def commit(self, segment_id: int = 1) -> None:
        await self.send(commit={"segment_id": segment_id})

    async def event(self, within_s: float = 20) -> stt_pb2.TranscribeResponse | None:
        return await read_message(self.call, "stt", within_s)

    async def final(self, within_s: float = 20) -> stt_pb2.FinalTranscript:
        while event := await self.event(within_s):
            if event.HasField("final_transcript"):
                return event.final_transcript
        raise AssertionError("the call ended without a final transcript")


@dataclass(frozen=True, slots=True)
class Clip:
    """A request as the transcription server got it."""

    form: dict[str, str]
    pcm: bytes
    authorization: str


class TranscriptionServer:
    """Speaks as vLLM's stock server does: `/v1/models`, and `/v1/audio/transcriptions` as server-sent events.

    It recognises the clips it knows by their samples, and says as many of their words as it got of them. `events`
    replaces what it says; `status` is its answer otherwise; while `held`, it does not go on behind the first word.
    """

    def __init__(self) -> None:
        self.url = ""
        self.models = ["voxtral"]
        self.models_page: bytes | None = None
        self.starting = False
        self.known: dict[bytes, str] = {}
        self.clips: list[Clip] = []
        self.status = 200
        self.events: list[str] | None = None
        self.let_go = asyncio.Event()
        self.let_go.set()
        self.broken_off = 0

    async def list_models(self, request: Request) -> Response:
        """What is served, as vLLM lists it."""
        if self.starting:
            return Response("upstream is not there yet", 503)
        if self.models_page is not None:
            return Response(self.models_page)
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})

    async def transcribe(self, request: Request) -> Response:
        """Refuse, or begin to stream."""
        async with request.form() as form:
            upload: Any = form["file"]
            with wave.open(io.BytesIO(await upload.read())) as clip:
                assert clip.getparams()[:3] == (1, 2, 16_000)
                pcm = clip.readframes(clip.getnframes())
            fields = {name: str(value) for name, value in form.items() if name != "file"}
        self.clips.append(Clip(fields, pcm, request.headers.get("Authorization", "")))
        if self.status != 200:
            error = {"message": "as it was told to", "type": "BadRequestError", "param": None, "code": self.status}
            return JSONResponse({"error": error}, self.status)
        return StreamingResponse(self._stream(self.heard(pcm)), media_type="text/event-stream")

    def heard(self, pcm: bytes) -> str:
        """The words of the known clips in `pcm`, as far as they go."""
        words: list[str] = []
        for clip, text in self.known.items():
            if (at := pcm.find(clip[8_000:12_000])) >= 0:
                share = min(1, (len(pcm) - at + 8_000) / len(clip))
                words += text.split()[: round(share * len(text.split()))]
        return " ".join(words)

    async def _stream(self, text: str) -> AsyncGenerator[str]:
        try:
            for event in self.events if self.events is not None else sse(text):
                if event == BREAK_OFF:
                    raise ConnectionAbortedError
                yield event
                await asyncio.sleep(0)
                await self.let_go.wait()
        except asyncio.CancelledError:
            self.broken_off += 1
            raise


def sse(text: str) -> list[str]:
    """`text` in the server's events: a word each, an empty one with the reason to finish, and the mark of the end."""

    def chunk(**choice: Any) -> str:
        event = {"id": "trsc-1", "object": "transcription.chunk", "created": 1, "model": "voxtral", "choices": [choice]}
        return f"data: {json.dumps(event, separators=(',', ':'))}\n\n"

    words = [chunk(delta={"content": f" {word}"}) for word in text.split()]
    return [*words, chunk(delta={"content": ""}, finish_reason="stop", stop_reason=None), "data: [DONE]\n\n"]


Open = Callable[[], AbstractAsyncContextManager[Microphone]]


def pcm_of(path: Path) -> bytes:
    with wave.open(str(path)) as clip:
        return clip.readframes(clip.getnframes())


@pytest.fixture(scope="session")
def ferry() -> bytes:
    """ "What is the latest on the ferry", 2 s."""
    return pcm_of(Path(__file__).parent / "audio" / "ferry.wav")


@pytest.fixture(scope="session")
def football() -> bytes:
    """ "Who won the football match", 2 s."""
    return pcm_of(Path(__file__).parent / "audio" / "football.wav")


@pytest.fixture
def refusing_port() -> Iterator[int]:
    """Held without listening, so that nobody else can come to answer there."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small newsroom; what is built of it is kept for all tests."""
    folder = tmp_path_factory.mktemp("newsroom")
    (folder / "knowledge").mkdir()
    (folder / "knowledge" / "ferry.md").write_text(FERRY)
    (folder / "knowledge" / "football.md").write_text(FOOTBALL)
    return folder


@pytest.fixture
async def server(ferry: bytes, football: bytes) -> AsyncGenerator[TranscriptionServer]:
    """A transcription server on a free port that knows both clips."""
    known = TranscriptionServer()
    known.known = {ferry: "what is the latest on the ferry", football: "who won the football match"}
    routes = [
        Route("/v1/models", known.list_models),
        Route("/v1/audio/transcriptions", known.transcribe, methods=["POST"]),
    ]
    config = uvicorn.Config(Starlette(routes=routes), port=0, log_level="error", lifespan="off")
    uvicorn_server = uvicorn.Server(config)
    serving = asyncio.create_task(uvicorn_server.serve())
    while not uvicorn_server.started:
        await asyncio.sleep(0.01)
    known.url = f"http://127.0.0.1:{uvicorn_server.servers[0].sockets[0].getsockname()[1]}/v1"
    yield known
    known.let_go.set()
    uvicorn_server.should_exit = True
    await serving


@pytest.fixture
def voxtral(settings: SttSettings, server: TranscriptionServer) -> SttSettings:
    """The settings for that server."""
    return settings.model_copy(
        update={"engine": "voxtral", "voxtral_url": server.url, "voxtral_start_s": 5.0, "partial_interval_ms": 300}
    )


@pytest.fixture
async def realtime_server(ferry: bytes, football: bytes) -> AsyncGenerator[Any]:
    """A realtime transcription server on a free port that knows both clips."""
    from realtime_server import RealtimeTranscriptionServer, realtime_serving

    known = TranscriptionServer()
    known.known = {ferry: "what is the latest on the ferry", football: "who won the football match"}
    async with realtime_serving(RealtimeTranscriptionServer(known.heard)) as server:
        yield server


@pytest.fixture
def voxtral_realtime(settings: SttSettings, realtime_server: Any) -> SttSettings:
    """The settings for that server."""
    changes = {
        "engine": "voxtral-realtime",
        "voxtral_realtime_url": realtime_server.url,
        "voxtral_realtime_start_s": 5.0,
    }
    return settings.model_copy(update={**changes, "partial_interval_ms": 100})


@pytest.fixture
def settings(folder: Path) -> SttSettings:
    return SttSettings(
        engine="pocketsphinx",
        knowledge_dir=folder / "knowledge",
        models_dir=folder / "models",
        max_streams=2,
        # A busy machine is not what is tested.
        second_opinion_ms=10_000,
    )


@pytest.fixture
def serve() -> Callable[[SttSettings], AbstractAsyncContextManager[tuple[Any, Open]]]:
    """Serve an engine: yields it, and what opens a microphone at it."""
    # A plugin module must not be imported before pytest has registered it.
    from service_kit.testing.plugin import serve_multiplexed

    @asynccontextmanager
    async def served(settings: SttSettings) -> AsyncGenerator[tuple[Any, Open]]:
        engine = engine_class(ENGINES, settings.engine)(settings)
        servicer = SpeechToTextServicer(engine, settings.max_streams, settings.max_segment_s * 1000)

        @asynccontextmanager
        async def microphone() -> AsyncGenerator[Microphone]:
            call = stt_pb2_grpc.SpeechToTextServiceStub(channel).Transcribe()
            try:
                yield Microphone(call)
            finally:
                call.cancel()

        async with engine.lifespan(), serve_multiplexed(NAME, servicer.add_to) as channel:
            yield engine, microphone

    return served
