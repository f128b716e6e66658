"""A fake of vLLM's transcription server, for tests."""

from __future__ import annotations

import asyncio
import io
import json
import wave
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

# In place of an event: the server closes the connection in the middle of its response.
BREAK_OFF = "break off"


@dataclass(frozen=True, slots=True)
class Clip:
    """A request as the server received it."""

    form: dict[str, str]
    pcm: bytes
    authorization: str


class TranscriptionServer:
    """Serves `/v1/models`, and `/v1/audio/transcriptions` as server-sent events, like vLLM.

    It recognises the clips in `known` by their samples, and returns as many of their words as the request has audio of
    them. `events` replaces the events of its response; `status` other than 200 replaces the response; while `released`
    is not set, the response stops after the first word.
    """

    def __init__(self) -> None:
        self.url = ""
        self.models = ["voxtral"]
        self.models_page: bytes | None = None
        self.starting = False
        self.known: dict[bytes, str] = {}
        self.clips: list[Clip] = []
        self.status = 200
        self.events: Iterable[str] | None = None
        self.released = asyncio.Event()
        self.released.set()
        # Responses that the client aborted.
        self.aborted = 0

    async def list_models(self, request: Request) -> Response:
        """The models, as vLLM lists them."""
        if self.starting:
            return Response("upstream is not there yet", 503)
        if self.models_page is not None:
            return Response(self.models_page)
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})

    async def transcribe(self, request: Request) -> Response:
        """Refuse, or start streaming."""
        async with request.form() as form:
            upload: Any = form["file"]
            with wave.open(io.BytesIO(await upload.read())) as clip:
                assert clip.getparams()[:3] == (1, 2, 16_000)
                pcm = clip.readframes(clip.getnframes())
            fields = {name: str(value) for name, value in form.items() if name != "file"}
        self.clips.append(Clip(fields, pcm, request.headers.get("Authorization", "")))
        if self.status != 200:
            error = {"message": "refused by the test", "type": "BadRequestError", "param": None, "code": self.status}
            return JSONResponse({"error": error}, self.status)
        return StreamingResponse(self._stream(self.text_of(pcm)), media_type="text/event-stream")

    def text_of(self, pcm: bytes) -> str:
        """Return the words of the known clips in `pcm`, as far as their audio goes."""
        words: list[str] = []
        for clip, text in self.known.items():
            if (at := pcm.find(clip[8_000:12_000])) >= 0:
                share = min(1, (len(pcm) - at + 8_000) / len(clip))
                words += text.split()[: round(share * len(text.split()))]
        return " ".join(words)

    async def _stream(self, text: str) -> AsyncGenerator[str]:
        try:
            for event in self.events if self.events is not None else text_events(text):
                if event == BREAK_OFF:
                    raise ConnectionAbortedError
                yield event
                await asyncio.sleep(0)
                await self.released.wait()
        except asyncio.CancelledError:
            self.aborted += 1
            raise


def text_events(text: str) -> list[str]:
    """Return `text` as vLLM's events: one per word, an empty one with the finish reason, and the end mark."""

    def chunk(**choice: Any) -> str:
        event = {"id": "trsc-1", "object": "transcription.chunk", "created": 1, "model": "voxtral", "choices": [choice]}
        return f"data: {json.dumps(event, separators=(',', ':'))}\n\n"

    words = [chunk(delta={"content": f" {word}"}) for word in text.split()]
    return [*words, chunk(delta={"content": ""}, finish_reason="stop", stop_reason=None), "data: [DONE]\n\n"]


@asynccontextmanager
async def serve_transcriptions(server: TranscriptionServer) -> AsyncGenerator[TranscriptionServer]:
    """Serve `server` on a free port and set its `url`."""
    routes = [
        Route("/v1/models", server.list_models),
        Route("/v1/audio/transcriptions", server.transcribe, methods=["POST"]),
    ]
    config = uvicorn.Config(Starlette(routes=routes), port=0, log_level="error", lifespan="off")
    uvicorn_server = uvicorn.Server(config)
    serving = asyncio.create_task(uvicorn_server.serve())
    while not uvicorn_server.started:
        await asyncio.sleep(0.01)
    server.url = f"http://127.0.0.1:{uvicorn_server.servers[0].sockets[0].getsockname()[1]}/v1"
    try:
        yield server
    finally:
        server.released.set()
        uvicorn_server.should_exit = True
        await serving
