"""What one connection may cost: uvicorn's protocols, with an end to their patience.

As uvicorn has them, a connection may stay for ever without asking anything, or without taking what it asked for, and
a WebSocket is parsed as fast as it comes: one client that sends empty frames then takes the whole event loop.
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

# How long a WebSocket's closing may take; uvicorn waits 10 s for the client's part, and has no end to its own.
CLOSED_WITHIN_S = 12.0
# Connections whose first request has not come yet.
MOST_UNDECIDED = 512
# A frame costs some 10 µs to parse and more to serve. Live audio is 50 to 100 of them a second, a file some 4000.
FRAMES_PER_S = 4000
FRAMES_AT_ONCE = 500
# So much is parsed before frames are counted.
_PIECE_BYTES = 4096
_MOST_FRAGMENTS = 1024


@dataclass(frozen=True, slots=True)
class HttpTimeouts:
    """How long an HTTP client is waited for, in seconds."""

    # For the head of a request: on a new connection, or from its first byte on.
    head_s: float = 10.0
    # For the rest of a body that nobody reads any more.
    leftovers_s: float = 30.0
    # For any of its answer to be taken.
    stalled_s: float = 15.0


class PendingConnections:
    """Connections that have not said yet what they want. Beyond `places`, the one that waits longest is put out."""

    def __init__(self, places: int = MOST_UNDECIDED) -> None:
        self._places = places
        self._waiting: dict[object, Callable[[], None]] = {}

    def enter(self, connection: object, put_out: Callable[[], None]) -> None:
        self._waiting[connection] = put_out
        if len(self._waiting) > self._places:
            longest = next(iter(self._waiting))
            self._waiting.pop(longest)()

    def leave(self, connection: object) -> None:
        self._waiting.pop(connection, None)


class TimedHttp(H11Protocol):
    """HTTP/1.1 whose requests have to come in time, and whose answers have to be taken."""

    def __init__(self, *args: Any, doorstep: PendingConnections, patience: HttpTimeouts, **named: Any) -> None:
        super().__init__(*args, **named)
        self._patience = patience
        self._doorstep = doorstep
        self._due: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._doorstep.enter(self, transport.abort)
        self._due = self.loop.call_later(self._patience.head_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_request()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_request()
        if self._stall is None and self.transport.get_write_buffer_size():
            self._watch_delivery()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stall is None:
            self._watch_delivery()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._doorstep.leave(self)
        self._cease("_due")
        self._cease("_stall")

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._doorstep.leave(self)
        self._cease("_due")
        super().handle_websocket_upgrade(event)

    def _watch_request(self) -> None:
        """Set the time for what the client owes, where the app does not wait for it."""
        if self.conn.their_state is h11.IDLE:
            # While the keep-alive timer runs, nothing has begun.
            owed_s = self._patience.head_s if self.timeout_keep_alive_task is None else None
        else:
            self._doorstep.leave(self)
            answered = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
            owed_s = self._patience.leftovers_s if answered else None
        if owed_s is None:
            self._cease("_due")
        elif self._due is None:
            self._due = self.loop.call_later(owed_s, self.transport.abort)

    def _watch_delivery(self, unsent_before: int | None = None) -> None:
        unsent = self.transport.get_write_buffer_size()
        if unsent and unsent == unsent_before:
            self.transport.abort()
        elif unsent:
            self._stall = self.loop.call_later(self._patience.stalled_s, self._watch_delivery, unsent)
        else:
            self._stall = None

    def _cease(self, name: str) -> None:
        timer = cast("asyncio.TimerHandle | None", getattr(self, name))
        if timer is not None:
            timer.cancel()
            setattr(self, name, None)


class _Tap:
    """A transport whose reading is somebody else's business."""

    def __init__(self, transport: asyncio.Transport, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._transport = transport
        self.pause_reading = pause
        self.resume_reading = resume

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class RateLimitedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that is read at a bounded pace, no further ahead than the app is, and that ends when it should."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._allowance = TokenBucket(FRAMES_PER_S, FRAMES_AT_ONCE)
        # What has been read and not parsed: one read of the loop, 256 KiB at most.
        self._unparsed = bytearray()
        self._parsing: asyncio.Handle | None = None
        self._app_is_busy = False
        self._frame_count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast(asyncio.Transport, transport)
        super().connection_made(cast(asyncio.Transport, _Tap(self._socket, self._wait_for_app, self._go_on)))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._parsing is not None:
            self._parsing.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unparsed += data
        if self._parsing is None:
            self._parse()

    def _wait_for_app(self) -> None:
        self._app_is_busy = True

    def _go_on(self) -> None:
        self._app_is_busy = False
        if self._parsing is None and self._unparsed:
            self._parsing = self.loop.call_soon(self._parse)
        elif self._parsing is None and not self._socket.is_closing():
            self._socket.resume_reading()

    def _parse(self) -> None:
        self._parsing = None
        while self._unparsed and not self._app_is_busy and not self._socket.is_closing():
            piece = bytes(self._unparsed[:_PIECE_BYTES])
            del self._unparsed[:_PIECE_BYTES]
            self._frame_count = 0
            super().data_received(piece)
            wait_s = self._allowance.spend(self._frame_count, self.loop.time())
            if wait_s > 0:
                self._parsing = self.loop.call_later(wait_s, self._parse)
                break
        if self._socket.is_closing():
            return
        if self._unparsed or self._app_is_busy or self._parsing is not None:
            self._socket.pause_reading()
        else:
            self._socket.resume_reading()

    def handle_text(self, event: Frame) -> None:
        self._frame_count += 1
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        self._frame_count += 1
        super().handle_bytes(event)

    def handle_ping(self) -> None:
        self._frame_count += 1
        super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        self._frame_count += 1
        super().handle_pong(event)

    def handle_cont(self, event: Frame) -> None:
        self._frame_count += 1
        super().handle_cont(event)
        if len(self.frames) > _MOST_FRAGMENTS and not self.close_sent:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.handle_parser_exception()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        # It has not answered for seconds: what is still unsent, it does not read either.
        self._socket.abort()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self.loop.call_later(CLOSED_WITHIN_S, self._socket.abort)
