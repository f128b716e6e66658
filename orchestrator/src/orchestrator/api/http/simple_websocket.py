"""`/ws`: the simple WebSocket API. Send a recording, receive an answer; repeat in the same conversation.

    client  {"type": "start", "language": "en", …}    optional: language, voice, persona, ticket, person_id, format
    client  binary …                                  WAV, MP3, Ogg, WebM, FLAC or M4A, in frames of any size
    client  {"type": "end_stream"}
    server  {"type": "metadata", "transcript": …, "reply": …, "format": "wav", "sample_rate_hz": 24000, …}
    server  binary …                                  one WAV file, in several frames
    server  {"type": "audio_complete"}

Raw samples (PCM16 mono) need `{"type": "start", "format": "pcm16", "sample_rate_hz": 16000}` before them. Errors are
sent as `{"type": "error", "code", "message", "retryable"}`; the next recording may follow, unless the socket closes.
A later connection continues the conversation by sending its `ticket`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Any, Literal

from fastapi import APIRouter, WebSocket
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from service_kit.audio import MICROPHONE, SPEECH
from service_kit.errors import AnchorError, InvalidRequest
from service_kit.observability.metrics import ERRORS

from orchestrator.api.audio.resampler import MAX_RATE_HZ, MIN_RATE_HZ
from orchestrator.api.audio.uploads import Uploads
from orchestrator.api.disconnect import ClientDisconnected, run_unless_disconnected
from orchestrator.api.errors import error_message, first_validation_error
from orchestrator.api.http.answer_format import to_json_fields, to_text_frame
from orchestrator.api.limits import ApiLimits
from orchestrator.api.ports import Sessions
from orchestrator.api.streaming.one_shot import OneShotAnswer, ask_question, one_shot_session_start
from orchestrator.api.streaming.websocket import WebSocketTransport

log = logging.getLogger(__name__)

PATH = "/ws"
# Below every common limit on the size of a WebSocket message.
_FRAME_BYTES = 32_768

PreferenceName = Annotated[str, Field(max_length=256)]


class StartRecording(BaseModel):
    """The format of the recordings that follow, and the preferences of their session."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["start"] = "start"
    format: Literal["auto", "pcm16"] = "auto"
    sample_rate_hz: int = Field(default=MICROPHONE.rate_hz, ge=MIN_RATE_HZ, le=MAX_RATE_HZ)
    language: PreferenceName = ""
    voice: PreferenceName = ""
    persona: PreferenceName = ""
    person_id: PreferenceName = ""
    ticket: PreferenceName = ""


class EndStream(BaseModel):
    """The recording is complete."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["end_stream"]


_TEXT_FRAME: TypeAdapter[StartRecording | EndStream] = TypeAdapter(
    Annotated[StartRecording | EndStream, Field(discriminator="type")]
)


class SimpleWebSocketConnection:
    """One client of the simple WebSocket API."""

    def __init__(self, websocket: WebSocket, sessions: Sessions, uploads: Uploads, limits: ApiLimits) -> None:
        self._websocket = websocket
        self._transport = WebSocketTransport(websocket, limits.max_text_chars)
        self._sessions = sessions
        self._uploads = uploads
        self._limits = limits
        self._start = StartRecording()
        self._rejections = 0

    async def serve(self) -> None:
        """Answer recordings until the client disconnects or sends too many invalid frames."""
        await self._websocket.accept()
        try:
            while True:
                await self._serve_recording()
        except ClientDisconnected:
            log.debug("client disconnected")
        except AnchorError as error:
            await self._close_with_error(error)
        except Exception:
            log.exception("simple WebSocket failed unexpectedly")
            await self._close_with_error(AnchorError("session.internal", "internal error"))

    async def _serve_recording(self) -> None:
        first = await self._receive()
        if isinstance(first, StartRecording):
            self._start = first
        elif isinstance(first, EndStream):
            await self._reject(InvalidRequest("session.no_audio", "end_stream arrived without any audio"))
        else:
            with self._uploads.reserve_slot():
                recording = await self._receive_recording(first)
                answer = await self._answer_or_reject(recording)
            if answer is not None:
                self._start = self._start.model_copy(update={"ticket": answer.ticket})
                self._rejections = 0
                await self._send_answer(answer)

    async def _receive_recording(self, first: bytes) -> bytes:
        """Receive the recording that begins with `first`. Raises `InvalidRequest` when it is too large or late."""
        recording = bytearray(first)
        try:
            async with asyncio.timeout(self._limits.upload_timeout_s):
                while not isinstance(message := await self._receive(), EndStream):
                    if isinstance(message, StartRecording):
                        reason = "start: not allowed within a recording"
                        await self._reject(InvalidRequest("session.bad_message", reason))
                    else:
                        self._uploads.check_size(len(recording) + len(message))
                        recording += message
        except TimeoutError as error:
            reason = f"no end_stream within {self._limits.upload_timeout_s:g} s"
            raise InvalidRequest("session.upload_stalled", reason) from error
        return bytes(recording)

    async def _answer_or_reject(self, recording: bytes) -> OneShotAnswer | None:
        try:
            return await run_unless_disconnected(self._wait_disconnected, self._answer(recording))
        except ClientDisconnected:
            raise
        except AnchorError as error:
            await self._reject(error)
            return None

    async def _answer(self, recording: bytes) -> OneShotAnswer:
        start = self._start
        self._sessions.require_room()
        pcm = await self._uploads.decode(recording, start.sample_rate_hz if start.format == "pcm16" else None)
        session_start = one_shot_session_start(
            language=start.language,
            voice=start.voice,
            persona=start.persona,
            ticket=start.ticket,
            person_id=start.person_id,
        )
        return await ask_question(self._sessions, session_start, pcm, self._limits)

    async def _send_answer(self, answer: OneShotAnswer) -> None:
        file = answer.wav()
        fields = {
            **to_json_fields(answer),
            "format": "wav",
            "sample_rate_hz": SPEECH.rate_hz,
            "audio_bytes": len(file),
            "audio_info": {"sample_rate": SPEECH.rate_hz, "channels": 1, "duration": answer.duration_ms / 1000},
        }
        try:
            async with asyncio.timeout(self._limits.answer_timeout_s):
                await self._transport.send_text(to_text_frame("metadata", fields))
                for start in range(0, len(file), _FRAME_BYTES):
                    await self._transport.send_audio(file[start : start + _FRAME_BYTES])
                await self._transport.send_text(to_text_frame("audio_complete", {"turn_id": answer.turn_id}))
        except TimeoutError as error:
            raise InvalidRequest("session.answer_not_taken", "the client did not read the answer in time") from error

    async def _receive(self) -> bytes | StartRecording | EndStream:
        """Return the next valid frame. Raises `ClientDisconnected`; `InvalidRequest` after too many invalid frames."""
        while True:
            frame: dict[str, Any] = dict(await self._websocket.receive())
            if frame["type"] == "websocket.disconnect":
                raise ClientDisconnected
            if (pcm := frame.get("bytes")) is not None:
                return pcm
            try:
                return _TEXT_FRAME.validate_json(frame["text"])
            except ValidationError as error:
                await self._reject(InvalidRequest("session.bad_message", first_validation_error(error)))

    async def _wait_disconnected(self) -> None:
        """Wait until the client disconnects; reject every frame that it sends meanwhile."""
        while True:
            await self._receive()
            await self._reject(InvalidRequest("session.busy", "an answer is in progress; wait for audio_complete"))

    async def _reject(self, error: AnchorError) -> None:
        """Send `error` and continue. Raises `InvalidRequest` after too many rejections."""
        self._rejections += 1
        if self._rejections >= self._limits.max_bad_messages:
            raise InvalidRequest("session.too_many_bad_messages", f"the last of {self._rejections}: {error}")
        await self._send_error(error)

    async def _send_error(self, error: AnchorError) -> None:
        ERRORS.labels(error.code).inc()
        log.info("recording rejected", extra={"code": error.code, "reason": error.message})
        await self._transport.send(error_message(error))

    async def _close_with_error(self, error: AnchorError) -> None:
        """Send `error` and close; give up on a client that reads neither."""
        try:
            async with asyncio.timeout(self._limits.close_timeout_s):
                await self._send_error(error)
        except TimeoutError:
            log.info("client did not read", extra={"code": error.code})
        await self._transport.close(error.websocket_close_code, error.code, self._limits.close_timeout_s)


def routes(sessions: Sessions, uploads: Uploads, limits: ApiLimits) -> APIRouter:
    """Return the router of the simple WebSocket API."""
    router = APIRouter()

    @router.websocket(PATH)
    async def serve_websocket(websocket: WebSocket) -> None:  # pyright: ignore[reportUnusedFunction]
        await SimpleWebSocketConnection(websocket, sessions, uploads, limits).serve()

    return router
