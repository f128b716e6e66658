"""`/ws`: the simple door. Send a recording, get an answer; again, in the same conversation, as often as you like.

    you     {"type": "start", "language": "en", …}    optional: language, voice, persona, ticket, format
    you     binary …                                  WAV, MP3, Ogg, WebM, FLAC or M4A, in pieces of any size
    you     {"type": "end_stream"}
    anchor  {"type": "metadata", "transcript": …, "reply": …, "format": "wav", "sample_rate_hz": 24000, …}
    anchor  binary …                                  one WAV file, in pieces
    anchor  {"type": "audio_complete"}

Raw samples (PCM16 mono) need `{"type": "start", "format": "pcm16", "sample_rate_hz": 16000}` before them.
What goes wrong is told as `{"type": "error", "code", "message", "retryable"}`. The next recording may follow, unless
the socket closes. The conversation goes on by its `ticket`, which a later socket may name.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Any, Literal

from fastapi import APIRouter, WebSocket
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from service_kit.audio import SPEECH
from service_kit.errors import AnchorError, InvalidRequest
from service_kit.observability.metrics import ERRORS

from orchestrator.api.audio.uploads import Uploads
from orchestrator.api.disconnect import ClientDisconnected, run_unless_disconnected
from orchestrator.api.http.answer_format import describe, to_frame
from orchestrator.api.http.errors import first_fault
from orchestrator.api.limits import ApiLimits
from orchestrator.api.ports import Sessions
from orchestrator.api.streaming.one_shot import Answer, ask, one_shot_start
from orchestrator.api.streaming.websocket import WebSocketWire
from orchestrator.conversation.messages.server import Error

log = logging.getLogger(__name__)

PATH = "/ws"
# Below every common limit on the size of a WebSocket message.
_PIECE_BYTES = 32_768

Name = Annotated[str, Field(max_length=256)]


class Start(BaseModel):
    """What the recordings that follow are, and whom they are for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["start"] = "start"
    format: Literal["auto", "pcm16"] = "auto"
    sample_rate_hz: int = Field(default=16_000, ge=8_000, le=48_000)
    language: Name = ""
    voice: Name = ""
    persona: Name = ""
    ticket: Name = ""


class EndStream(BaseModel):
    """The recording is complete."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["end_stream"]


_TEXT: TypeAdapter[Start | EndStream] = TypeAdapter(Annotated[Start | EndStream, Field(discriminator="type")])


class SimpleWebSocketApi:
    """One client of the simple door, from its first frame to its last."""

    def __init__(self, websocket: WebSocket, sessions: Sessions, uploads: Uploads, limits: ApiLimits) -> None:
        self._websocket = websocket
        self._wire = WebSocketWire(websocket, limits.text_chars)
        self._sessions = sessions
        self._uploads = uploads
        self._limits = limits
        self._start = Start()
        self._refused = 0

    async def serve(self) -> None:
        """Serve exchanges until the client hangs up, or does what cannot be borne."""
        await self._websocket.accept()
        try:
            while True:
                await self._exchange()
        except ClientDisconnected:
            log.debug("client hung up")
        except AnchorError as error:
            await self._end(error)
        except Exception:
            log.exception("exchange broke")
            await self._end(AnchorError("session.internal", "internal error"))

    async def _exchange(self) -> None:
        first = await self._receive()
        if isinstance(first, Start):
            self._start = first
        elif isinstance(first, EndStream):
            await self._refuse(InvalidRequest("session.no_audio", "end_stream came without any audio"))
        else:
            with self._uploads.slot():
                recording = await self._record(first)
                answer = await self._answer_or_refuse(recording)
            if answer is not None:
                self._start = self._start.model_copy(update={"ticket": answer.ticket})
                self._refused = 0
                await self._deliver(answer)

    async def _record(self, first: bytes) -> bytes:
        """The recording that begins with `first`. Raises `InvalidRequest` when it is too large, or does not end."""
        recording = bytearray(first)
        try:
            async with asyncio.timeout(self._limits.upload_s):
                while not isinstance(message := await self._receive(), EndStream):
                    if isinstance(message, Start):
                        reason = "start: not in the middle of a recording"
                        await self._refuse(InvalidRequest("session.bad_message", reason))
                    else:
                        self._uploads.check_size(len(recording) + len(message))
                        recording += message
        except TimeoutError as error:
            reason = f"no end_stream within {self._limits.upload_s:g} s"
            raise InvalidRequest("session.upload_stalled", reason) from error
        return bytes(recording)

    async def _answer_or_refuse(self, recording: bytes) -> Answer | None:
        try:
            return await run_unless_disconnected(self._hang_up, self._answer(recording))
        except ClientDisconnected:
            raise
        except AnchorError as error:
            await self._refuse(error)
            return None

    async def _answer(self, recording: bytes) -> Answer:
        start = self._start
        pcm = await self._uploads.decode(recording, start.sample_rate_hz if start.format == "pcm16" else None)
        wanted = one_shot_start(language=start.language, voice=start.voice, persona=start.persona, ticket=start.ticket)
        return await ask(self._sessions, wanted, pcm, self._limits)

    async def _deliver(self, answer: Answer) -> None:
        file = answer.wav()
        details = {**describe(answer), "format": "wav", "sample_rate_hz": SPEECH.rate_hz, "audio_bytes": len(file)}
        try:
            async with asyncio.timeout(self._limits.answer_s):
                await self._wire.send_text(to_frame("metadata", details))
                for start in range(0, len(file), _PIECE_BYTES):
                    await self._wire.send_audio(file[start : start + _PIECE_BYTES])
                await self._wire.send_text(to_frame("audio_complete", {"turn_id": answer.turn_id}))
        except TimeoutError as error:
            raise InvalidRequest("session.answer_not_taken", "the answer was not taken in time") from error

    async def _receive(self) -> bytes | Start | EndStream:
        """The next frame that is of use. Raises `HungUp`, and `InvalidRequest` when too many were of none."""
        while True:
            frame: dict[str, Any] = dict(await self._websocket.receive())
            if frame["type"] == "websocket.disconnect":
                raise ClientDisconnected
            if (pcm := frame.get("bytes")) is not None:
                return pcm
            try:
                return _TEXT.validate_json(frame["text"])
            except ValidationError as error:
                await self._refuse(InvalidRequest("session.bad_message", first_fault(error)))

    async def _hang_up(self) -> None:
        """Wait until the client hangs up; whatever else it sends meanwhile is too early."""
        while True:
            await self._receive()
            await self._refuse(InvalidRequest("session.busy", "wait for audio_complete"))

    async def _refuse(self, error: AnchorError) -> None:
        """Say `error`, and go on. Raises `InvalidRequest` when that has been said too often."""
        self._refused += 1
        if self._refused >= self._limits.bad_messages:
            raise InvalidRequest("session.too_many_bad_messages", f"the last of {self._refused}: {error}")
        await self._say(error)

    async def _say(self, error: AnchorError) -> None:
        ERRORS.labels(error.code).inc()
        log.info("exchange refused", extra={"code": error.code, "reason": error.message})
        await self._wire.send(Error(error.code, error.message, error.retryable))

    async def _end(self, error: AnchorError) -> None:
        """Say `error` and close; a client that takes neither is left to the server."""
        try:
            async with asyncio.timeout(self._limits.goodbye_s):
                await self._say(error)
        except TimeoutError:
            log.info("client did not read", extra={"code": error.code})
        await self._wire.close(error.websocket_close_code, error.code, self._limits.goodbye_s)


def routes(sessions: Sessions, uploads: Uploads, limits: ApiLimits) -> APIRouter:
    """The simple WebSocket door."""
    router = APIRouter()

    @router.websocket(PATH)
    async def exchange(websocket: WebSocket) -> None:  # pyright: ignore[reportUnusedFunction]
        await SimpleWebSocketApi(websocket, sessions, uploads, limits).serve()

    return router
