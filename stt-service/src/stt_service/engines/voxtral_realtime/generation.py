"""The transcription of one utterance at the realtime server, over its own WebSocket."""

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

from stt_service.engines.voxtral.client import describe_error, response_deadline
from stt_service.engines.voxtral_realtime import wire

# Limit on one message: the transcript of several minutes, and a little JSON.
MAX_MESSAGE_BYTES = 65_536
# Audio is sent in messages of at most a second.
PIECE_BYTES = MICROPHONE.bytes_for(1000)
# Chunks that may wait for the socket; `push_audio` waits while there are more.
MAX_WAITING = 64
# The model looks 0.5 s ahead: after this much audio, its first step is due.
FIRST_STEP_MS = 1000
# Time limit of the WebSocket's closing handshake.
CLOSE_TIMEOUT_S = 0.5


@dataclass(frozen=True, slots=True)
class RealtimeServer:
    """Address and credentials of the server; `url` is the HTTP base URL, including the version."""

    url: str
    model: str
    api_key: str
    connect_s: float

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[ClientConnection]:
        """Connect. An error or a cancellation in the block aborts the connection, which stops the server's work.

        Raises `PeerFailed` or `AtCapacity`.
        """
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
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=MAX_MESSAGE_BYTES,
            )
        except InvalidStatus as error:
            raise _refusal(error.response.status_code) from error
        except (InvalidHandshake, InvalidMessage) as error:
            raise wire.malformed(f"an invalid WebSocket handshake: {error}") from error
        except (OSError, TimeoutError) as error:
            raise PeerFailed("stt.server_unreachable", f"no transcription server: {describe_error(error)}") from error
        try:
            yield socket
        except BaseException:
            socket.transport.abort()
            raise
        await socket.close()


class RealtimeTranscription:
    """The transcript of one utterance, which grows as audio arrives. Its owner runs `run`, and cancels it to stop.

    At every step of the model, `on_text` receives the text so far and the milliseconds of audio it covers. The server
    makes one transcript per connection: after `end_audio`, no more audio can be pushed.
    """

    def __init__(self, server: RealtimeServer, on_text: Callable[[str, int], None], first_s: float) -> None:
        self._server = server
        self._on_text = on_text
        self._first_s = first_s
        self._audio: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING)
        self._text = ""
        self._transcribed_ms = 0
        self._ending = False
        # The first step is due; the first step was received; the transcript is complete.
        self._first_step_due = asyncio.Event()
        self._first_step_received = asyncio.Event()
        self._complete = asyncio.Event()

    async def push_audio(self, pcm: bytes) -> None:
        """Send audio; waits while the server is behind. Raises `PeerFailed` when it stays behind."""
        async with response_deadline(self._first_s):
            await self._audio.put(pcm)

    async def end_audio(self, within_s: float) -> str:
        """End the audio and return the whole text. Raises `PeerFailed` when it takes longer than `within_s`."""
        async with response_deadline(within_s):
            await self._audio.put(None)
            await self._complete.wait()
        return self._text

    async def run(self) -> None:
        """Connect, send the audio and receive text until the transcript is complete.

        Raises `PeerFailed` or `AtCapacity`.
        """
        try:
            async with self._server.connect() as socket:
                async with response_deadline(self._server.connect_s):
                    if not isinstance(await _next(socket), wire.SessionCreated):
                        raise wire.malformed("text before the session was created")
                    await socket.send(wire.select_model(self._server.model))
                    await socket.send(wire.start_transcript())
                await run_together(self._send(socket), self._receive(socket), self._check_first_step())
        except ConnectionClosed as error:
            raise _closed(error) from error

    async def _send(self, socket: ClientConnection) -> None:
        sent_bytes = 0
        while (pcm := await self._audio.get()) is not None:
            for at in range(0, len(pcm), PIECE_BYTES):
                await socket.send(wire.append_audio(pcm[at : at + PIECE_BYTES]))
            sent_bytes += len(pcm)
            if MICROPHONE.ms_of(sent_bytes) >= FIRST_STEP_MS:
                self._first_step_due.set()
        self._ending = True
        await socket.send(wire.end_audio())

    async def _receive(self, socket: ClientConnection) -> None:
        while not self._complete.is_set():
            match await _next(socket):
                case wire.TranscriptDelta(text):
                    self._first_step_received.set()
                    self._text += text
                    self._transcribed_ms += wire.STEP_MS
                    self._on_text(self._text, self._transcribed_ms)
                case wire.TranscriptDone(text):
                    if not self._ending:
                        raise PeerFailed("stt.server_failed", "the transcription server ended the transcript early")
                    self._text = text
                    self._complete.set()
                    self._first_step_received.set()
                    self._first_step_due.set()
                case _:
                    continue

    async def _check_first_step(self) -> None:
        await self._first_step_due.wait()
        async with response_deadline(self._first_s):
            await self._first_step_received.wait()


async def _next(socket: ClientConnection) -> wire.ServerEvent | None:
    return wire.parse_event(await socket.recv())


def _refusal(status: int) -> AnchorError:
    message = f"the transcription server refused the connection with HTTP {status}"
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return AtCapacity("stt.server_busy", message)
    return PeerFailed("stt.server_refused", message)


def _closed(error: ConnectionClosed) -> PeerFailed:
    if error.sent is not None and error.sent.code == CloseCode.MESSAGE_TOO_BIG:
        return wire.malformed(f"a message of more than {MAX_MESSAGE_BYTES} bytes")
    if error.sent is not None and error.sent.code == CloseCode.INVALID_DATA:
        return wire.malformed("text that is not UTF-8")
    return PeerFailed("stt.connection_lost", f"the transcription server disconnected: {error}")
