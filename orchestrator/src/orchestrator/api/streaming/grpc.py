"""`anchor.session.v1.SessionService`: the streaming door for programs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from anchor.session.v1 import session_pb2, session_pb2_grpc
from google.protobuf.message import DecodeError
from grpc import aio
from pydantic import SecretStr
from service_kit.errors import Denied, InvalidRequest

from orchestrator.api.access import has_secret
from orchestrator.api.limits import ApiLimits
from orchestrator.api.ports import Sessions
from orchestrator.api.streaming.full_duplex import converse
from orchestrator.api.wire import codec
from orchestrator.conversation.messages.client import ClientMessage
from orchestrator.conversation.messages.server import AnchorAudio, ServerMessage
from orchestrator.conversation.model.ports import ConnectionDropped

log = logging.getLogger(__name__)

NAME = "anchor.session.v1.SessionService"

_BREAK_SHOWS_S = 0.05

Context = aio.ServicerContext[session_pb2.ConverseRequest, session_pb2.ConverseResponse]


class GrpcWire:
    """One call, speaking messages."""

    def __init__(self, context: Context, text_chars: int) -> None:
        self._context = context
        self._text_chars = text_chars
        # A call takes one write at a time, also beside one that nobody waits for any more.
        self._writing = asyncio.Lock()
        self._left_alone: asyncio.Future[None] | None = None

    async def receive(self) -> ClientMessage | None:
        try:
            request = await self._context.read()
        except DecodeError as error:
            raise InvalidRequest("session.bad_message", "the message is no ConverseRequest") from error
        if request is aio.EOF:
            # A call that broke off ends like one whose client is done; which of the two it was shows a little later.
            await asyncio.sleep(_BREAK_SHOWS_S)
            if self._context.cancelled():
                raise ConnectionDropped
            return None
        return codec.client_from_proto(request.message, self._text_chars)

    async def send(self, message: ServerMessage) -> None:
        async with self._writing:
            if self._left_alone is not None:
                await asyncio.wait((self._left_alone,))
            response = session_pb2.ConverseResponse(message=codec.server_to_proto(message))
            write = asyncio.ensure_future(self._context.write(response))
            try:
                await asyncio.shield(write)
            except asyncio.CancelledError:
                self._left_alone = write
                raise
            except aio.BaseError as error:
                # The call broke off; `receive` tells.
                log.debug("message not taken", extra={"reason": str(error)})

    async def send_audio(self, pcm: bytes) -> None:
        await self.send(AnchorAudio(pcm))

    async def close(self) -> None:
        """Give up what is still being written."""
        if self._left_alone is not None:
            self._left_alone.cancel()
            await asyncio.wait((self._left_alone,))


class SessionServicer(session_pb2_grpc.SessionServiceServicer):
    """Serves streaming clients; with a secret, those that send it as `authorization: Bearer …`."""

    def __init__(self, sessions: Sessions, limits: ApiLimits, secret: SecretStr | None = None) -> None:
        self._sessions = sessions
        self._limits = limits
        self._secret = secret

    async def Converse(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request_iterator: AsyncIterator[session_pb2.ConverseRequest], context: Context
    ) -> None:
        """One session; the client's cancelling cancels this, and the session waits for a while."""
        metadata: dict[str, Any] = dict(context.invocation_metadata() or ())
        if not has_secret(self._secret, str(metadata.get("authorization", ""))):
            raise Denied("orchestrator.denied", "the shared secret is missing or wrong")
        wire = GrpcWire(context, self._limits.text_chars)
        try:
            await converse(self._sessions, wire, self._limits)
        finally:
            await wire.close()


def add_to(server: aio.Server, servicer: SessionServicer) -> None:
    """Offer `servicer` on `server`."""
    session_pb2_grpc.add_SessionServiceServicer_to_server(servicer, server)
