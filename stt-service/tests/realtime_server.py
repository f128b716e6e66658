"""A fake of vLLM's realtime transcription server, for tests."""

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
# In place of a message: the server closes the connection, or sends nothing more.
BREAK_OFF = "break off"
SILENT = "silent"


class RealtimeTranscriptionServer:
    """Makes one transcript per connection, in steps of 80 ms, most of them without new words.

    `text_of` returns the words in PCM. `greeting` is the first message; `step_message` replaces all messages after the
    first step; `end_message` replaces the last one. `refusal_status` other than 0 refuses the handshake; `step_s` is
    the duration of a step.
    """

    def __init__(self, text_of: Callable[[bytes], str]) -> None:
        self.text_of = text_of
        self.url = ""
        self.models = ["voxtral-realtime"]
        self.starting = False
        self.refusal_status = 0
        self.greeting = json.dumps({"type": "session.created", "id": "sess-1", "created": 1})
        self.step_message: str | bytes | None = None
        self.end_message: str | bytes | None = None
        self.step_s = 0.0
        # The messages that each connection received, and the PCM of its transcript.
        self.messages: list[list[dict[str, Any]]] = []
        self.clips: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.open = 0
        # Of all connections, for tests that send messages themselves.
        self.sockets: list[WebSocket] = []

    async def list_models(self, request: Request) -> Response:
        """The models, as vLLM lists them."""
        if self.starting:
            return Response("upstream is not there yet", 503)
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection."""
        self.headers.append(dict(socket.headers))
        if self.refusal_status:
            await socket.send_denial_response(Response("refused by the test", self.refusal_status))
            return
        await socket.accept()
        self.open += 1
        self.sockets.append(socket)
        if self.greeting != SILENT:
            await socket.send_text(self.greeting)
        received: list[dict[str, Any]] = []
        self.messages.append(received)
        self.clips.append(b"")
        try:
            await Connection(self, socket, received, len(self.clips) - 1).run()
        except WebSocketDisconnect:
            return
        finally:
            self.open -= 1


class Connection:
    """The state of one connection."""

    def __init__(
        self, server: RealtimeTranscriptionServer, socket: WebSocket, received: list[dict[str, Any]], number: int
    ) -> None:
        self._server = server
        self._socket = socket
        self._received = received
        self._number = number
        self._has_model = False
        self._started = False
        self._steps = 0
        self._text = ""

    async def run(self) -> None:
        """Answer messages until the client disconnects."""
        while True:
            event = json.loads(await self._socket.receive_text())
            self._received.append(event)
            match event["type"]:
                case "session.update":
                    if event["model"] not in self._server.models:
                        await self._error(f"The model `{event['model']}` does not exist.", "model_not_found")
                    else:
                        self._has_model = True
                case "input_audio_buffer.commit" if not self._has_model:
                    await self._error("Model not validated.", "model_not_validated")
                case "input_audio_buffer.commit" if event.get("final"):
                    await self._end()
                case "input_audio_buffer.commit":
                    self._started = True
                case "input_audio_buffer.append":
                    assert self._started
                    self._server.clips[self._number] += base64.b64decode(event["audio"])
                    await self._step()
                case other:
                    await self._error(f"Unknown event type: {other}", "unknown_event")

    async def _step(self) -> None:
        clip = self._server.clips[self._number]
        while (self._steps + 1) * STEP_BYTES <= len(clip):
            self._steps += 1
            if self._server.step_message is not None:
                if self._steps == 1:
                    await self._send(self._server.step_message)
                continue
            await asyncio.sleep(self._server.step_s)
            await self._send_delta(self._server.text_of(clip[: self._steps * STEP_BYTES]))

    async def _send_delta(self, text: str) -> None:
        """Send the new part of `text`, which is empty in most steps."""
        delta = text[len(self._text) :] if text.startswith(self._text) else ""
        self._text += delta
        await self._socket.send_json({"type": "transcription.delta", "delta": delta})

    async def _end(self) -> None:
        if self._server.end_message is not None:
            await self._send(self._server.end_message)
            return
        if self._server.step_message is not None:
            return
        # The rest of the clip, after 17 steps of silence.
        for _ in range(17):
            await self._send_delta(self._text)
        await self._send_delta(self._server.text_of(self._server.clips[self._number]))
        usage = {"prompt_tokens": 39, "completion_tokens": self._steps + 18, "total_tokens": self._steps + 57}
        await self._socket.send_json({"type": "transcription.done", "text": self._text, "usage": usage})

    async def _send(self, message: str | bytes) -> None:
        if message == BREAK_OFF:
            await self._socket.close(1011)
            raise WebSocketDisconnect(1011)
        if message == SILENT:
            return
        if isinstance(message, bytes):
            await self._socket.send_bytes(message)
        else:
            await self._socket.send_text(message)

    async def _error(self, error: str, code: str) -> None:
        await self._socket.send_json({"type": "error", "error": error, "code": code})


@asynccontextmanager
async def serve_realtime(server: RealtimeTranscriptionServer) -> AsyncGenerator[RealtimeTranscriptionServer]:
    """Serve `server` on a free port and set its `url`."""
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
