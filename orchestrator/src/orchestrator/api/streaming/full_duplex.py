"""Runs the session of one full-duplex client over any transport; shared by the WebSocket and gRPC APIs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from service_kit.audio import MICROPHONE
from service_kit.errors import AnchorError, InvalidRequest, root_cause
from service_kit.observability.metrics import ERRORS
from service_kit.tasks import raise_root_cause

from orchestrator.api.audio.resampler import MicrophoneResampler
from orchestrator.api.limits import ApiLimits
from orchestrator.api.ports import Sessions
from orchestrator.api.rate_limit import RateLimiter
from orchestrator.conversation.messages.client import ClientMessage, Command, EndTurn, MicrophoneAudio, SessionStart
from orchestrator.conversation.messages.server import Error, ServerMessage, SessionEnded, SessionStarted
from orchestrator.conversation.model.ports import ConnectionDropped


class Transport(Protocol):
    """The connection to one client. Sending after a disconnect does nothing; `receive` reports the disconnect."""

    async def receive(self) -> ClientMessage | None:
        """Return the client's next message; None when the client has closed the connection.

        Raises `InvalidRequest` for an invalid message, `ConnectionDropped` when the connection broke.
        """
        ...

    async def send(self, message: ServerMessage) -> None:
        """Send one message; safe to call from several tasks."""
        ...

    async def send_audio(self, pcm: bytes) -> None: ...


async def run_session(sessions: Sessions, transport: Transport, limits: ApiLimits) -> None:
    """Serve one client. Raises the error that ended its session, after reporting it to the client."""
    client = _TransportClient(transport)
    try:
        start = await _read_session_start(transport, limits)
        if start is None:
            return
        microphone = MicrophoneResampler(
            start.sample_rate_hz or limits.microphone_rate_hz, limits.max_audio_message_bytes
        )
        client.rate_hz = microphone.rate_hz
        opened = sessions.open(start, client, resumable=True)
        async with opened as session, aclosing(_session_input(transport, client, microphone, limits)) as source:
            await session.run(source)
    except ConnectionDropped:
        return
    except ExceptionGroup as failures:
        await client.send_session_ended(root_cause(failures), limits.close_timeout_s)
        raise_root_cause(failures)
    except Exception as error:
        await client.send_session_ended(error, limits.close_timeout_s)
        raise


class _TransportClient:
    """The session's `Client` over a transport; sends nothing after `session_ended`."""

    def __init__(self, transport: Transport) -> None:
        self.rate_hz = MICROPHONE.rate_hz
        self._transport = transport
        self._ended = False

    async def send(self, message: ServerMessage) -> None:
        if self._ended:
            return
        if isinstance(message, SessionStarted):
            # The session works at 16 kHz; replace that by the rate that this client must send.
            message = replace(message, microphone_sample_rate_hz=self.rate_hz)
        self._ended = isinstance(message, SessionEnded)
        await self._transport.send(message)

    async def send_audio(self, pcm: bytes) -> None:
        if not self._ended:
            await self._transport.send_audio(pcm)

    async def send_session_ended(self, cause: BaseException, timeout_s: float) -> None:
        """Send the error and `session_ended`, unless the session has; give up on a client that does not read."""
        error = cause if isinstance(cause, AnchorError) else AnchorError("session.internal", "internal error")
        ERRORS.labels(error.code).inc()
        try:
            async with asyncio.timeout(timeout_s):
                await self.send(Error(error.code, error.message, error.retryable))
                await self.send(SessionEnded(error.code, error.message))
        except TimeoutError:
            self._ended = True


async def _read_session_start(transport: Transport, limits: ApiLimits) -> SessionStart | None:
    """Receive the first message; None when the client disconnected instead."""
    try:
        async with asyncio.timeout(limits.first_message_timeout_s):
            message = await transport.receive()
    except TimeoutError as error:
        reason = f"no session_start within {limits.first_message_timeout_s:g} s"
        raise InvalidRequest("session.start_timeout", reason) from error
    if message is not None and not isinstance(message, SessionStart):
        raise InvalidRequest("session.start_expected", "the first message must be session_start")
    return message


async def _session_input(
    transport: Transport, client: _TransportClient, microphone: MicrophoneResampler, limits: ApiLimits
) -> AsyncGenerator[bytes | Command]:
    """Yield microphone audio and commands until the client disconnects.

    Raises `InvalidRequest` after too many invalid messages.
    """
    rejections = 0
    rate_limit = RateLimiter(limits, microphone.rate_hz)
    while True:
        message = None
        try:
            message = await transport.receive()
            if message is None:
                return
            items = _to_session_input(message, microphone)
        except InvalidRequest as error:
            rejections += 1
            if rejections >= limits.max_bad_messages:
                raise InvalidRequest("session.too_many_bad_messages", f"the last of {rejections}: {error}") from error
            ERRORS.labels(error.code).inc()
            await client.send(Error(error.code, error.message, error.retryable))
            items = ()
        for item in items:
            yield item
        await rate_limit.wait(message)


def _to_session_input(message: ClientMessage, microphone: MicrophoneResampler) -> tuple[bytes | Command, ...]:
    match message:
        case MicrophoneAudio(pcm):
            resampled = microphone.resample(pcm)
            return (resampled,) if resampled else ()
        case EndTurn():
            remainder = microphone.flush()
            return (remainder, message) if remainder else (message,)
        case SessionStart():
            raise InvalidRequest("session.already_started", "session_start is only valid as the first message")
        case _:
            return (message,)
