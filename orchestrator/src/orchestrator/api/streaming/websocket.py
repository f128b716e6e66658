"""`/ws/audio`: the native door, full duplex.

The first frame is text, `{"type":"session_start",…}`. From then on text frames carry the messages of
`anchor.session.v1` and binary frames carry audio, PCM16 mono: up at the declared rate, down at 24 kHz.
`session_ended` is the last message before the socket closes. A client that vanished without a word is found by the
server's pings.
"""

from __future__ import annotations

import asyncio
import logging

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from service_kit.errors import AnchorError, InvalidRequest

from orchestrator.api.limits import ApiLimits
from orchestrator.api.ports import Sessions
from orchestrator.api.streaming.full_duplex import converse
from orchestrator.api.wire import codec
from orchestrator.conversation.messages.client import ClientMessage, MicrophoneAudio
from orchestrator.conversation.messages.server import ServerMessage
from orchestrator.conversation.model.ports import ConnectionDropped, PageClosed

log = logging.getLogger(__name__)

PATH = "/ws/audio"
# Closing codes of a client that is done: 1000, or none at all; and of a page that goes away. The server says 1005 of a
# connection that broke, too, but then no reason, not even an empty one.
_HUNG_UP = (1000, 1005)
_GOING_AWAY = 1001


class WebSocketWire:
    """An accepted WebSocket, speaking messages."""

    def __init__(self, websocket: WebSocket, text_chars: int) -> None:
        self._websocket = websocket
        self._text_chars = text_chars
        self._gone = False

    async def receive(self) -> ClientMessage | None:
        frame = await self._websocket.receive()
        if frame["type"] == "websocket.disconnect":
            self._gone = True
            if frame.get("code") == _GOING_AWAY and "reason" in frame:
                raise PageClosed
            if frame.get("code") not in _HUNG_UP or "reason" not in frame:
                raise ConnectionDropped
            return None
        if (pcm := frame.get("bytes")) is not None:
            return MicrophoneAudio(pcm)
        return codec.client_from_json(frame["text"], self._text_chars)

    async def send(self, message: ServerMessage) -> None:
        await self.send_text(codec.server_to_json(message))

    async def send_text(self, text: str) -> None:
        """Send one text frame; nothing, when the client has gone."""
        if self._gone:
            return
        try:
            await self._websocket.send_text(text)
        except WebSocketDisconnect:
            self._gone = True

    async def send_audio(self, pcm: bytes) -> None:
        if self._gone:
            return
        try:
            await self._websocket.send_bytes(pcm)
        except WebSocketDisconnect:
            self._gone = True

    async def close(self, code: int, reason: str, within_s: float) -> None:
        """Close the socket; leave a client that does not even take that to the server."""
        if self._gone:
            return
        try:
            async with asyncio.timeout(within_s):
                await self._websocket.close(code, reason)
        except (TimeoutError, WebSocketDisconnect):
            log.info("websocket abandoned", extra={"code": code})


async def serve(websocket: WebSocket, sessions: Sessions, limits: ApiLimits) -> None:
    """Accept and serve one client."""
    await websocket.accept()
    wire = WebSocketWire(websocket, limits.text_chars)
    code, reason = 1000, ""
    try:
        await converse(sessions, wire, limits)
    except AnchorError as error:
        # What the client got wrong is nothing to wake anybody for.
        level = logging.INFO if isinstance(error, InvalidRequest) else logging.WARNING
        log.log(level, "session ended with an error", extra={"code": error.code, "reason": error.message})
        code, reason = error.websocket_close_code, error.code
    except Exception:
        log.exception("session broke")
        code, reason = 1011, "session.internal"
    await wire.close(code, reason, limits.goodbye_s)


def routes(sessions: Sessions, limits: ApiLimits) -> APIRouter:
    """The native WebSocket door."""
    router = APIRouter()

    @router.websocket(PATH)
    async def talk(websocket: WebSocket) -> None:  # pyright: ignore[reportUnusedFunction]
        await serve(websocket, sessions, limits)

    return router
