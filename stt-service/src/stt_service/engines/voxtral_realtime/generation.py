"""One utterance at the server, over a socket of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from service_kit.audio import MICROPHONE
from service_kit.errors import AnchorError, AtCapacity, PeerFailed
from service_kit.observability import tracing
from service_kit.tasks import run_together
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.frames import CloseCode

from stt_service.engines.voxtral.client import deadline, reason_of
from stt_service.engines.voxtral_realtime import wire

# A transcript of some minutes, and a little JSON.
MAX_MESSAGE_BYTES = 65_536
# Audio goes out in messages of at most a second.
PIECE_BYTES = MICROPHONE.bytes_for(1000)
# Chunks that may wait for the socket; whoever has more waits too.
MAX_WAITING = 64
# The model hears 0.5 s ahead: with so much audio, its first step is due.
FIRST_STEP_MS = 1000
# How long the goodbye may take; nobody waits for it but the socket.
GOODBYE_S = 0.5


@dataclass(frozen=True, slots=True)
class RealtimeServer:
    """Where the server is, and how long it may take; `url` as for HTTP, up to and including the version."""

    url: str
    model: str
    api_key: str
    connect_s: float

    @asynccontextmanager
    async def socket(self) -> AsyncGenerator[ClientConnection]:
        """Connect. Left by an error or a cancellation, the connection is broken off: that ends the server's work."""
        try:
            socket = await connect(
                f"{self.url.replace('http', 'ws', 1)}/realtime",
                additional_headers={
                    **tracing.headers(),
                    **({"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}),
                },
                compression=None,
                proxy=None,
                open_timeout=self.connect_s,
                close_timeout=GOODBYE_S,
                max_size=MAX_MESSAGE_BYTES,
            )
        except InvalidStatus as error:
            raise _refusal(error.response.status_code) from error
        except (InvalidHandshake, InvalidMessage) as error:
            raise wire.garbled(f"no WebSocket: {error}") from error
        except (OSError, TimeoutError) as error:
            raise PeerFailed("stt.server_unreachable", f"no transcription server: {reason_of(error)}") from error
        try:
            yield socket
        except BaseException:
            socket.transport.abort()
            raise
        await socket.close()


class Generation:
    """A transcript that grows while audio comes. Its owner runs `run`, and cancels it to give the utterance up.

    `show` gets the text so far, at every step of the model, and how many milliseconds of audio it comes from. The
    server takes one transcript from one end of the audio to the other: once `end` was asked for, no more can be heard.
    """

    def __init__(self, server: RealtimeServer, show: Callable[[str, int], None], first_s: float) -> None:
        self._server = server
        self._show = show
        self._first_s = first_s
        self._audio: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING)
        self._text = ""
        self._heard_ms = 0
        self._ending = False
        # A first step is due; there was one; there is no more to come.
        self._due = asyncio.Event()
        self._answered = asyncio.Event()
        self._over = asyncio.Event()

    async def hear(self, pcm: bytes) -> None:
        """Send audio; waits while the server is behind. Raises `PeerFailed` when it stays so."""
        async with deadline(self._first_s):
            await self._audio.put(pcm)

    async def end(self, within_s: float) -> str:
        """The whole text. Raises `PeerFailed` when it is not there in time."""
        async with deadline(within_s):
            await self._audio.put(None)
            await self._over.wait()
        return self._text

    async def run(self) -> None:
        """Hold the connection until the transcript is whole. Raises `PeerFailed` or `AtCapacity`."""
        try:
            async with self._server.socket() as socket:
                async with deadline(self._server.connect_s):
                    if not isinstance(await _next(socket), wire.Created):
                        raise wire.garbled("words before it was asked")
                    await socket.send(wire.choose(self._server.model))
                    await socket.send(wire.begin())
                await run_together(self._send(socket), self._listen(socket), self._wait_for_first())
        except ConnectionClosed as error:
            raise _lost(error) from error

    async def _send(self, socket: ClientConnection) -> None:
        sent_bytes = 0
        while (pcm := await self._audio.get()) is not None:
            for at in range(0, len(pcm), PIECE_BYTES):
                await socket.send(wire.append(pcm[at : at + PIECE_BYTES]))
            sent_bytes += len(pcm)
            if MICROPHONE.ms_of(sent_bytes) >= FIRST_STEP_MS:
                self._due.set()
        self._ending = True
        await socket.send(wire.end())

    async def _listen(self, socket: ClientConnection) -> None:
        while not self._over.is_set():
            match await _next(socket):
                case wire.Delta(text):
                    self._answered.set()
                    self._text += text
                    self._heard_ms += wire.STEP_MS
                    self._show(self._text, self._heard_ms)
                case wire.Done(text):
                    if not self._ending:
                        raise PeerFailed("stt.server_failed", "the transcription server ended the transcript by itself")
                    self._text = text
                    self._over.set()
                    self._answered.set()
                    self._due.set()
                case _:
                    continue

    async def _wait_for_first(self) -> None:
        await self._due.wait()
        async with deadline(self._first_s):
            await self._answered.wait()


async def _next(socket: ClientConnection) -> wire.Event | None:
    return wire.parse(await socket.recv())


def _refusal(status: int) -> AnchorError:
    message = f"the transcription server refused the connection with HTTP {status}"
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return AtCapacity("stt.server_busy", message)
    return PeerFailed("stt.server_refused", message)


def _lost(error: ConnectionClosed) -> PeerFailed:
    if error.sent is not None and error.sent.code == CloseCode.MESSAGE_TOO_BIG:
        return wire.garbled(f"a message of more than {MAX_MESSAGE_BYTES} bytes")
    if error.sent is not None and error.sent.code == CloseCode.INVALID_DATA:
        return wire.garbled("text that is no UTF-8")
    return PeerFailed("stt.connection_lost", f"the transcription server broke off: {error}")
