"""Equipment for the steps of `anchor verify-gpu`: servers in this process that speak the real protocols."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from anchor.gpu.v1 import gpu_pb2, gpu_pb2_grpc
from anchor.stt.v1 import stt_pb2, stt_pb2_grpc
from anchor.tts.v1 import tts_pb2, tts_pb2_grpc
from anchor_cli.verification.equipment.equipment import (
    MeshAddresses,
    OllamaServer,
    RecognitionServers,
    VoiceModels,
)
from anchor_double import serve_anchor
from grpc import aio
from ollama_stub import OllamaStub, StubSection
from service_kit.audio import SPEECH
from service_kit.engines.hub import HubFile, HubModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from transcription_stub import WORDS, TranscriptionStub

COMMIT = "0123456789" * 4
MIB = 2**20
# Plays `python -m voice_check`: prints what the test wrote beside it.
_FAKE_TORCH = """
import pathlib, sys
print("loading", file=sys.stderr)
print((pathlib.Path(__file__).parent / f"{sys.argv[3]}.json").read_text())
"""


@dataclass
class Services(
    stt_pb2_grpc.SpeechToTextServiceServicer,
    tts_pb2_grpc.TextToSpeechServiceServicer,
    gpu_pb2_grpc.GpuMonitorServiceServicer,
):
    """Speech services that understand each other: any sound is the text that was spoken last."""

    last: str = WORDS
    speech_ms: int = 400
    report: gpu_pb2.GpuReport = field(default_factory=gpu_pb2.GpuReport)

    async def Transcribe(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        partials, has_sound = False, False
        async for request in requests:
            match request.WhichOneof("request"):
                case "config":
                    partials = request.config.partial_transcripts
                case "audio":
                    has_sound = has_sound or any(request.audio.pcm)
                    if partials:
                        yield stt_pb2.TranscribeResponse(partial_transcript={"segment_id": 1, "text": self.last})
                case _:
                    text = self.last if has_sound else ""
                    yield stt_pb2.TranscribeResponse(final_transcript={"segment_id": 1, "revision": 1, "text": text})

    async def Synthesize(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            if request.HasField("text"):
                self.last = request.text.text
            if request.HasField("end_of_text"):
                break
        if self.speech_ms:
            pcm = b"\1\0" * (SPEECH.bytes_for(self.speech_ms) // 2)
            yield tts_pb2.SynthesizeResponse(audio={"offset_ms": 0, "pcm": pcm})

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        yield gpu_pb2.WatchResponse(pressure_changed=gpu_pb2.PressureChanged())
        yield gpu_pb2.WatchResponse(report=self.report)


@dataclass
class EngineMemory:
    """The orchestrator's `/memory`: engines that park and wake."""

    moves: list[str] = field(default_factory=list[str])
    # Requests that are refused before one is granted.
    busy: int = 0

    async def list_engines(self, request: Request) -> Response:
        states = {"llm": "awake", "stt": "fixed"}
        return JSONResponse({"engines": {name: {"state": state} for name, state in states.items()}})

    async def move(self, request: Request) -> Response:
        if self.busy:
            self.busy -= 1
            return JSONResponse({}, 503)
        self.moves.append("{engine} {move}".format(**request.path_params))
        return JSONResponse({})

    def app(self) -> Starlette:
        routes = [
            Route("/memory", self.list_engines),
            Route("/memory/{engine}/{move}", self.move, methods=["POST"]),
        ]
        return Starlette(routes=routes)


@dataclass
class EquipmentDouble:
    """Equipment whose card is a list of readings, and whose models are small files."""

    folder: Path
    rehearsal: bool = True
    used: list[int] = field(default_factory=list[int])
    services: Services = field(default_factory=Services)
    server: TranscriptionStub = field(default_factory=TranscriptionStub)
    ollama: OllamaStub = field(
        default_factory=lambda: OllamaStub(StubSection(first_token_delay_ms=0, tokens_per_second=1000))
    )
    engines: EngineMemory = field(default_factory=EngineMemory)
    cleared: int = 0

    def __post_init__(self) -> None:
        (self.folder / "fake_torch.py").write_text(_FAKE_TORCH, "utf-8")

    @property
    def torch_python(self) -> Sequence[str]:
        return (sys.executable, str(self.folder / "fake_torch.py"))

    def answer_torch(self, command: str, figures: object) -> None:
        """What `voice_check` prints for this command."""
        (self.folder / f"{command}.json").write_text(json.dumps(figures), "utf-8")

    async def fetch_models(self, *, offline: bool) -> Sequence[HubModel]:
        return [
            HubModel(name, f"owner/{name}", COMMIT, "MIT", (HubFile("config.json", "ab" * 32, 10),), ("gpu",))
            for name in ("higgs", "codec")
        ]

    def models_folder(self) -> Path:
        return self.folder

    def voice_models(self) -> VoiceModels:
        return VoiceModels(self.folder / "higgs", self.folder / "codec")

    async def card_in_container(self) -> str:
        return "GPU 0: NVIDIA RTX 6000 Ada Generation"

    async def used_bytes(self) -> int | None:
        return self.used.pop(0) if self.used else None

    async def clear_card(self) -> None:
        self.cleared += 1

    @asynccontextmanager
    async def language_model(self) -> AsyncGenerator[OllamaServer]:
        async with serve_http(self.ollama.app()) as url:
            yield OllamaServer(url, "model", 8192)

    @asynccontextmanager
    async def recognition(self) -> AsyncGenerator[RecognitionServers]:
        async with serve_services(self.services) as target, serve_http(self.server.app()) as url:
            yield RecognitionServers(target, url)

    @asynccontextmanager
    async def speech(self) -> AsyncGenerator[str]:
        async with serve_services(self.services) as target:
            yield target

    @asynccontextmanager
    async def mesh(self) -> AsyncGenerator[MeshAddresses]:
        async with AsyncExitStack() as stack:
            target = await stack.enter_async_context(serve_services(self.services))
            anchor = await stack.enter_async_context(serve_anchor())
            api_url = await stack.enter_async_context(serve_http(self.engines.app()))
            ollama = await stack.enter_async_context(self.language_model())
            yield MeshAddresses(anchor.url, api_url, {}, target, target, target, ollama, 2)


@asynccontextmanager
async def serve_services(services: Services) -> AsyncGenerator[str]:
    """Serve all gRPC services on one port; yields `host:port`."""
    server = aio.server()
    stt_pb2_grpc.add_SpeechToTextServiceServicer_to_server(services, server)
    tts_pb2_grpc.add_TextToSpeechServiceServicer_to_server(services, server)
    gpu_pb2_grpc.add_GpuMonitorServiceServicer_to_server(services, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@asynccontextmanager
async def serve_http(app: Any) -> AsyncGenerator[str]:
    """Serve an app on a free port; yields its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    async with httpx.AsyncClient(trust_env=False) as http:
        await http.get(url)
    try:
        yield url
    finally:
        server.should_exit = True
        await serving
        listener.close()
