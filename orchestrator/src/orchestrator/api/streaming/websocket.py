"""`/ws/audio`: the native, full-duplex WebSocket API.

The first frame is text, `{"type":"session_start",…}`. From then on text frames carry the messages of
`anchor.session.v1` and binary frames carry audio, PCM16 mono: up at the declared rate, down at 24 kHz.
`session_ended` is the last message before the socket closes. The server's pings detect a client that vanished
without closing.
"""

from __future__ import annotations

import asyncio
import logging

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from service_kit.errors import AnchorError, InvalidRequest

from orchestrator.api.limits import ApiLimits
from orchestrator.api.ports import Sessions
from orchestrator.api.streaming.full_duplex import run_session
from orchestrator.api.wire import codec
from orchestrator.conversation.messages.client import ClientMessage, MicrophoneAudio
from orchestrator.conversation.messages.server import ServerMessage
from orchestrator.conversation.model.ports import ConnectionDropped, PageClosed

log = logging.getLogger(__name__)

PATH = "/ws/audio"
# Close codes of a client that ends the session: 1000, or no code (1005); and of a page that unloads. uvicorn reports
# 1005 for a broken connection as well, but then without any `reason`, not even an empty one.
_NORMAL_CLOSE_CODES = (1000, 1005)
_GOING_AWAY_CODE = 1001


class WebSocketTransport:
    """An accepted WebSocket as a `Transport`."""

    def __init__(self, websocket: WebSocket, max_text_chars: int) -> None:
        self._websocket = websocket
        self._max_text_chars = max_text_chars
        self._disconnected = False

    async def receive(self) -> ClientMessage | None:
        frame = await self._websocket.receive()
        if frame["type"] == "websocket.disconnect":
            self._disconnected = True
            if frame.get("code") == _GOING_AWAY_CODE and "reason" in frame:
                raise PageClosed
            if frame.get("code") not in _NORMAL_CLOSE_CODES or "reason" not in frame:
                raise ConnectionDropped
            return None
        if (pcm := frame.get("bytes")) is not None:
            return MicrophoneAudio(pcm)
        return codec.client_from_json(frame["text"], self._max_text_chars)

    async def send(self, message: ServerMessage) -> None:
        await self.send_text(codec.server_to_json(message))

    async def send_text(self, text: str) -> None:
        """Send one text frame; does nothing after a disconnect."""
        if self._disconnected:
            return
        try:
            await self._websocket.send_text(text)
        except WebSocketDisconnect:
            self._disconnected = True

    async def send_audio(self, pcm: bytes) -> None:
        if self._disconnected:
            return
        try:
            await self._websocket.send_bytes(pcm)
        except WebSocketDisconnect:
            self._disconnected = True

    async def close(self, code: int, reason: str, timeout_s: float) -> None:
        """Close the socket; abandon it to the server when the close frame is not accepted within `timeout_s`."""
        if self._disconnected:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._websocket.close(code, reason)
        except (TimeoutError, WebSocketDisconnect):
            log.info("websocket abandoned", extra={"code": code})


async def serve_websocket(websocket: WebSocket, sessions: Sessions, limits: ApiLimits) -> None:
    """Accept a WebSocket and serve its session."""
    await websocket.accept()
    transport = WebSocketTransport(websocket, limits.max_text_chars)
    code, reason = 1000, ""
    try:
        await run_session(sessions, transport, limits)
    except AnchorError as error:
        # A client's mistake needs no attention from the operator.
        level = logging.INFO if isinstance(error, InvalidRequest) else logging.WARNING
        log.log(level, "session ended with an error", extra={"code": error.code, "reason": error.message})
        code, reason = error.websocket_close_code, error.code
    except Exception:
        log.exception("session failed unexpectedly")
        code, reason = 1011, "session.internal"
    await transport.close(code, reason, limits.close_timeout_s)


def routes(sessions: Sessions, limits: ApiLimits) -> APIRouter:
    """Return the router of the native WebSocket API."""
    router = APIRouter()

    @router.websocket(PATH)
    async def talk(websocket: WebSocket) -> None:  # pyright: ignore[reportUnusedFunction]
        await serve_websocket(websocket, sessions, limits)

    return router
