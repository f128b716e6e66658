"""A server that speaks vLLM's `/v1/realtime`, for tests."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

STEP_BYTES = 2560
# In place of a message: the server closes the connection, or says no more.
BREAK_OFF = "break off"
SILENT = "silent"


class RealtimeTranscriptionServer:
    """Takes one transcript at a time from each connection, a step for each 80 ms, most of them without words.

    `heard` says what there is in samples. `says` replaces what comes after the samples' first step; `greets` what comes
    first of all; `ends` what comes at the end; `refuses` is the status of its answer to a handshake, `step_s` what
    a step takes.
    """

    def __init__(self, heard: Callable[[bytes], str]) -> None:
        self.heard = heard
        self.url = ""
        self.models = ["voxtral-realtime"]
        self.starting = False
        self.refuses = 0
        self.greets = json.dumps({"type": "session.created", "id": "sess-1", "created": 1})
        self.says: str | bytes | None = None
        self.ends: str | bytes | None = None
        self.step_s = 0.0
        # What each connection was told, and the samples of its transcript.
        self.messages: list[list[dict[str, Any]]] = []
        self.clips: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.open = 0
        # Of all connections, for a test that speaks through them itself.
        self.sockets: list[WebSocket] = []

    async def list_models(self, request: Request) -> Response:
        """What is served, as vLLM lists it."""
        if self.starting:
            return Response("upstream is not there yet", 503)
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})

    async def serve(self, socket: WebSocket) -> None:
        """One connection."""
        self.headers.append(dict(socket.headers))
        if self.refuses:
            await socket.send_denial_response(Response("as it was told to", self.refuses))
            return
        await socket.accept()
        self.open += 1
        self.sockets.append(socket)
        if self.greets != SILENT:
            await socket.send_text(self.greets)
        told: list[dict[str, Any]] = []
        self.messages.append(told)
        self.clips.append(b"")
        try:
            await Connection(self, socket, told, len(self.clips) - 1).run()
        except WebSocketDisconnect:
            return
        finally:
            self.open -= 1


class Connection:
    """What one connection is in the middle of."""

    def __init__(
        self, server: RealtimeTranscriptionServer, socket: WebSocket, told: list[dict[str, Any]], number: int
    ) -> None:
        self._server = server
        self._socket = socket
        self._told = told
        self._number = number
        self._chosen = False
        self._begun = False
        self._steps = 0
        self._text = ""

    async def run(self) -> None:
        """Answer until the client has gone."""
        while True:
            event = json.loads(await self._socket.receive_text())
            self._told.append(event)
            match event["type"]:
                case "session.update":
                    if event["model"] not in self._server.models:
                        await self._error(f"The model `{event['model']}` does not exist.", "model_not_found")
                    else:
                        self._chosen = True
                case "input_audio_buffer.commit" if not self._chosen:
                    await self._error("Model not validated.", "model_not_validated")
                case "input_audio_buffer.commit" if event.get("final"):
                    await self._end()
                case "input_audio_buffer.commit":
                    self._begun = True
                case "input_audio_buffer.append":
                    assert self._begun
                    self._server.clips[self._number] += base64.b64decode(event["audio"])
                    await self._step()
                case other:
                    await self._error(f"Unknown event type: {other}", "unknown_event")

    async def _step(self) -> None:
        clip = self._server.clips[self._number]
        while (self._steps + 1) * STEP_BYTES <= len(clip):
            self._steps += 1
            if self._server.says is not None:
                if self._steps == 1:
                    await self._send(self._server.says)
                continue
            await asyncio.sleep(self._server.step_s)
            await self._say(self._server.heard(clip[: self._steps * STEP_BYTES]))

    async def _say(self, text: str) -> None:
        """A step: what is new in `text`, which is nothing most of the time."""
        delta = text[len(self._text) :] if text.startswith(self._text) else ""
        self._text += delta
        await self._socket.send_json({"type": "transcription.delta", "delta": delta})

    async def _end(self) -> None:
        if self._server.ends is not None:
            await self._send(self._server.ends)
            return
        if self._server.says is not None:
            return
        # The rest of the clip, heard behind 17 steps of silence.
        for _ in range(17):
            await self._say(self._text)
        await self._say(self._server.heard(self._server.clips[self._number]))
        usage = {"prompt_tokens": 39, "completion_tokens": self._steps + 18, "total_tokens": self._steps + 57}
        await self._socket.send_json({"type": "transcription.done", "text": self._text, "usage": usage})

    async def _send(self, what: str | bytes) -> None:
        if what == BREAK_OFF:
            await self._socket.close(1011)
            raise WebSocketDisconnect(1011)
        if what == SILENT:
            return
        if isinstance(what, bytes):
            await self._socket.send_bytes(what)
        else:
            await self._socket.send_text(what)

    async def _error(self, error: str, code: str) -> None:
        await self._socket.send_json({"type": "error", "error": error, "code": code})


@asynccontextmanager
async def realtime_serving(server: RealtimeTranscriptionServer) -> AsyncGenerator[RealtimeTranscriptionServer]:
    """`server` on a free port."""
    routes = [Route("/v1/models", server.list_models), WebSocketRoute("/v1/realtime", server.serve)]
    config = uvicorn.Config(
        Starlette(routes=routes),
        port=0,
        log_level="error",
        lifespan="off",
        ws="websockets-sansio",
        ws_ping_interval=None,
    )
    uvicorn_server = uvicorn.Server(config)
    serving = asyncio.create_task(uvicorn_server.serve())
    while not uvicorn_server.started:
        await asyncio.sleep(0.01)
    server.url = f"http://127.0.0.1:{uvicorn_server.servers[0].sockets[0].getsockname()[1]}/v1"
    try:
        yield server
    finally:
        uvicorn_server.should_exit = True
        await serving
