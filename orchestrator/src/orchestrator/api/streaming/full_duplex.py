"""A full-duplex client, from its first message to its last: what the streaming doors have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from service_kit.audio import MICROPHONE
from service_kit.errors import AnchorError, InvalidRequest, root_cause
from service_kit.observability.metrics import ERRORS

from orchestrator.api.audio.resampler import MicrophoneResampler
from orchestrator.api.limits import ApiLimits
from orchestrator.api.ports import Sessions
from orchestrator.api.rate_limit import RateLimit
from orchestrator.conversation.messages.client import ClientMessage, Command, EndTurn, MicrophoneAudio, SessionStart
from orchestrator.conversation.messages.server import Error, ServerMessage, SessionEnded, SessionStarted
from orchestrator.conversation.model.ports import ConnectionDropped


class Wire(Protocol):
    """The connection to one client. Sending to one that has hung up does nothing: `receive` will tell."""

    async def receive(self) -> ClientMessage | None:
        """The client's next message; None when it has hung up.

        Raises `InvalidRequest` for one that is no message, `LineDropped` when the connection broke.
        """
        ...

    async def send(self, message: ServerMessage) -> None:
        """May be called by two tasks at once."""
        ...

    async def send_audio(self, pcm: bytes) -> None: ...


async def converse(sessions: Sessions, wire: Wire, limits: ApiLimits) -> None:
    """Serve one client. Raises what its session ended with, having told the client."""
    listener = _WireClient(wire)
    try:
        start = await _session_start(wire, limits)
        if start is None:
            return
        microphone = MicrophoneResampler(start.sample_rate_hz or limits.microphone_rate_hz, limits.audio_message_bytes)
        listener.rate_hz = microphone.rate_hz
        with_client = sessions.open(start, listener, resumable=True)
        async with with_client as session, aclosing(_source(wire, listener, microphone, limits)) as source:
            await session.run(source)
    except ConnectionDropped:
        return
    except Exception as error:
        cause = root_cause(error)
        await listener.send_session_ended(cause, limits.goodbye_s)
        if cause is error:
            raise
        raise cause from error


class _WireClient:
    """The session's client, who hears nothing after `session_ended`."""

    def __init__(self, wire: Wire) -> None:
        self.rate_hz = MICROPHONE.rate_hz
        self._wire = wire
        self._ended = False

    async def send(self, message: ServerMessage) -> None:
        if self._ended:
            return
        if isinstance(message, SessionStarted):
            # The session hears 16 kHz; the rate that this client is expected to send is the door's business.
            message = replace(message, microphone_sample_rate_hz=self.rate_hz)
        self._ended = isinstance(message, SessionEnded)
        await self._wire.send(message)

    async def send_audio(self, pcm: bytes) -> None:
        if not self._ended:
            await self._wire.send_audio(pcm)

    async def send_session_ended(self, cause: BaseException, within_s: float) -> None:
        """Tell why it is over, unless the session has done so; a client who does not read is not waited for."""
        error = cause if isinstance(cause, AnchorError) else AnchorError("session.internal", "internal error")
        ERRORS.labels(error.code).inc()
        try:
            async with asyncio.timeout(within_s):
                await self.send(Error(error.code, error.message, error.retryable))
                await self.send(SessionEnded(error.code, error.message))
        except TimeoutError:
            self._ended = True


async def _session_start(wire: Wire, limits: ApiLimits) -> SessionStart | None:
    """The first message; None when the client hung up instead."""
    try:
        async with asyncio.timeout(limits.first_message_s):
            message = await wire.receive()
    except TimeoutError as error:
        reason = f"no session_start within {limits.first_message_s:g} s"
        raise InvalidRequest("session.start_timeout", reason) from error
    if message is not None and not isinstance(message, SessionStart):
        raise InvalidRequest("session.start_expected", "the first message must be session_start")
    return message


async def _source(
    wire: Wire, listener: _WireClient, microphone: MicrophoneResampler, limits: ApiLimits
) -> AsyncGenerator[bytes | Command]:
    """What the session is fed with, until the client hangs up. Raises `InvalidRequest` when too much of it is bad."""
    refused = 0
    pace = RateLimit(limits, microphone.rate_hz)
    while True:
        message = None
        try:
            message = await wire.receive()
            if message is None:
                return
            items = _accept(message, microphone)
        except InvalidRequest as error:
            refused += 1
            if refused >= limits.bad_messages:
                raise InvalidRequest("session.too_many_bad_messages", f"the last of {refused}: {error}") from error
            ERRORS.labels(error.code).inc()
            await listener.send(Error(error.code, error.message, error.retryable))
            items = ()
        for item in items:
            yield item
        await pace.wait(message)


def _accept(message: ClientMessage, microphone: MicrophoneResampler) -> tuple[bytes | Command, ...]:
    match message:
        case MicrophoneAudio(pcm):
            heard = microphone.resample(pcm)
            return (heard,) if heard else ()
        case EndTurn():
            rest = microphone.flush()
            return (rest, message) if rest else (message,)
        case SessionStart():
            raise InvalidRequest("session.already_started", "session_start comes once")
        case _:
            return (message,)
