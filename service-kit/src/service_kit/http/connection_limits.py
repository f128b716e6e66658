"""Limits of one connection: uvicorn's protocols with timeouts, and with a frame rate for WebSockets.

uvicorn keeps a connection open however slowly its request arrives or its response is read, and parses WebSocket
frames as fast as they arrive: one client that sends empty frames then takes the whole event loop. The subclasses here
use parts of uvicorn that are not public, so `pyproject.toml` pins its minor version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from service_kit.token_bucket import TokenBucket

# How long a WebSocket may take to close. uvicorn waits 10 s for the client's close frame, and without end for the
# client to read what is unsent.
CLOSE_TIMEOUT_S = 12.0
# Connections that have not sent the head of their first request.
MAX_PENDING = 512
# A frame costs some 10 µs to parse and more to serve. Live audio is 50 to 100 of them a second, a file some 4000.
FRAMES_PER_S = 4000
FRAME_BURST = 500
# Bytes that are parsed before their frames are counted.
_PARSE_BYTES = 4096
_MAX_FRAGMENTS = 1024


@dataclass(frozen=True, slots=True)
class HttpTimeouts:
    """How long the server waits for an HTTP client, in seconds."""

    # For the head of a request: on a new connection, or from its first byte on.
    head_s: float = 10.0
    # For the rest of a request body after the response is complete.
    unread_body_s: float = 30.0
    # For the client to read any part of the response.
    stalled_s: float = 15.0


class PendingConnections:
    """Connections that have not sent the head of a request; above `capacity`, the oldest is closed."""

    def __init__(self, capacity: int = MAX_PENDING) -> None:
        self._capacity = capacity
        self._close: dict[object, Callable[[], None]] = {}

    def add(self, connection: object, close: Callable[[], None]) -> None:
        self._close[connection] = close
        if len(self._close) > self._capacity:
            oldest = next(iter(self._close))
            self._close.pop(oldest)()

    def remove(self, connection: object) -> None:
        self._close.pop(connection, None)

    def __len__(self) -> int:
        return len(self._close)


class TimedHttp(H11Protocol):
    """HTTP/1.1 with timeouts for slow requests and unread responses."""

    def __init__(self, *args: Any, pending: PendingConnections, timeouts: HttpTimeouts, **named: Any) -> None:
        super().__init__(*args, **named)
        self._timeouts = timeouts
        self._pending = pending
        self._request_timer: asyncio.TimerHandle | None = None
        self._response_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._pending.add(self, transport.abort)
        self._set_request_timer(self._timeouts.head_s)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            # While uvicorn's keep-alive timer runs, no request has begun.
            self._set_request_timer(self._timeouts.head_s if self.timeout_keep_alive_task is None else None)
            return
        self._pending.remove(self)
        answered = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
        self._set_request_timer(self._timeouts.unread_body_s if answered else None)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._response_timer is None:
            self._watch_response()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._pending.remove(self)

    def _set_request_timer(self, within_s: float | None) -> None:
        """Close the connection in `within_s` seconds, unless a timer runs already; None cancels the timer."""
        if within_s is None and self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None
        elif within_s is not None and self._request_timer is None:
            self._request_timer = self.loop.call_later(within_s, self.transport.abort)

    def _watch_response(self, unsent_before: int | None = None) -> None:
        """Close the connection when the client reads nothing between two looks at the write buffer."""
        unsent = self.transport.get_write_buffer_size()
        if unsent and unsent == unsent_before:
            self.transport.abort()
        elif unsent:
            self._response_timer = self.loop.call_later(self._timeouts.stalled_s, self._watch_response, unsent)
        else:
            self._response_timer = None


class _PausableTransport:
    """A transport whose `pause_reading` and `resume_reading` are replaced."""

    def __init__(self, transport: asyncio.Transport, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._transport = transport
        self.pause_reading = pause
        self.resume_reading = resume

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class RateLimitedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket with a frame rate, a bounded number of fragments, and an end to its closing.

    Received bytes are parsed in pieces, no faster than the frame rate, and not while the app has a message to read.
    Reading stops when more arrives meanwhile; the frames of a live microphone arrive one by one.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._frame_budget = TokenBucket(FRAMES_PER_S, FRAME_BURST)
        # One read of the event loop, 256 KiB at most.
        self._unparsed = bytearray()
        self._parse_timer: asyncio.Handle | None = None
        self._app_is_busy = False
        # Whether the socket is read; not known before the first bytes.
        self._is_reading = False
        self._frame_count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast(asyncio.Transport, transport)
        pausable = _PausableTransport(self._socket, self._pause_parsing, self._resume_parsing)
        super().connection_made(cast(asyncio.Transport, pausable))

    def data_received(self, data: bytes) -> None:
        self._unparsed += data
        if self._parse_timer is None:
            self._parse()

    def _pause_parsing(self) -> None:
        self._app_is_busy = True

    def _resume_parsing(self) -> None:
        self._app_is_busy = False
        if self._parse_timer is None and self._unparsed:
            self._parse_timer = self.loop.call_soon(self._parse)

    def _parse(self) -> None:
        self._parse_timer = None
        while self._unparsed and not self._app_is_busy and not self._socket.is_closing():
            piece = bytes(self._unparsed[:_PARSE_BYTES])
            del self._unparsed[:_PARSE_BYTES]
            self._frame_count = 0
            super().data_received(piece)
            wait_s = self._frame_budget.spend(self._frame_count, self.loop.time())
            if wait_s > 0:
                self._parse_timer = self.loop.call_later(wait_s, self._parse)
                break
        reads = not self._unparsed and self._parse_timer is None
        if reads is not self._is_reading and not self._socket.is_closing():
            self._is_reading = reads
            if reads:
                self._socket.resume_reading()
            else:
                self._socket.pause_reading()

    async def send(self, message: Any) -> None:
        """Send a message of the app; a complete refusal completes the handshake, which uvicorn logs as an error."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def handle_events(self) -> None:
        self._frame_count += len(self.conn.events)
        super().handle_events()

    def handle_cont(self, event: Frame) -> None:
        super().handle_cont(event)
        if len(self.frames) > _MAX_FRAGMENTS and not self.close_sent:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.handle_parser_exception()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        # The client has answered no ping for seconds, so it does not read what is unsent either.
        self._socket.abort()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self.loop.call_later(CLOSE_TIMEOUT_S, self._socket.abort)
