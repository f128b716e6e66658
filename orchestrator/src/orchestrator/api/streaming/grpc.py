"""`anchor.session.v1.SessionService`: the full-duplex gRPC API."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

from anchor.session.v1 import session_pb2, session_pb2_grpc
from google.protobuf.message import DecodeError
from grpc import aio
from service_kit.errors import Denied, InvalidRequest

from orchestrator.api.limits import ApiLimits
from orchestrator.api.ports import Sessions
from orchestrator.api.secret_check import SecretCheck, bearer_token, grpc_address
from orchestrator.api.streaming.full_duplex import run_session
from orchestrator.api.wire import codec
from orchestrator.conversation.messages.client import ClientMessage
from orchestrator.conversation.messages.server import AnchorAudio, ServerMessage
from orchestrator.conversation.model.ports import ConnectionDropped

log = logging.getLogger(__name__)

SERVICE_NAME = "anchor.session.v1.SessionService"

# After the end of the request stream, a broken call is reported as cancelled within this time.
_CANCEL_DETECTION_S = 0.05

ServicerContext = aio.ServicerContext[session_pb2.ConverseRequest, session_pb2.ConverseResponse]


class GrpcTransport:
    """One `Converse` call as a `Transport`."""

    def __init__(self, context: ServicerContext, max_text_chars: int) -> None:
        self._context = context
        self._max_text_chars = max_text_chars
        # A call allows one write at a time, including a write whose sender was cancelled.
        self._write_lock = asyncio.Lock()
        self._abandoned_write: asyncio.Future[None] | None = None

    async def receive(self) -> ClientMessage | None:
        try:
            request = await self._context.read()
        except DecodeError as error:
            raise InvalidRequest("session.bad_message", "the message is not a ConverseRequest") from error
        if request is aio.EOF:
            # A broken call ends like one that its client completed; `cancelled` tells them apart a little later.
            await asyncio.sleep(_CANCEL_DETECTION_S)
            if self._context.cancelled():
                raise ConnectionDropped
            return None
        return codec.client_from_proto(request.message, self._max_text_chars)

    async def send(self, message: ServerMessage) -> None:
        async with self._write_lock:
            if self._abandoned_write is not None:
                await asyncio.wait((self._abandoned_write,))
            response = session_pb2.ConverseResponse(message=codec.server_to_proto(message))
            write = asyncio.ensure_future(self._context.write(response))
            try:
                await asyncio.shield(write)
            except asyncio.CancelledError:
                self._abandoned_write = write
                raise
            except aio.BaseError as error:
                # The call broke; `receive` reports it.
                log.debug("client write failed", extra={"reason": str(error)})

    async def send_audio(self, pcm: bytes) -> None:
        await self.send(AnchorAudio(pcm))

    async def close(self) -> None:
        """Cancel the write that is still pending."""
        if self._abandoned_write is not None:
            self._abandoned_write.cancel()
            await asyncio.wait((self._abandoned_write,))


class SessionServicer(session_pb2_grpc.SessionServiceServicer):
    """Serves full-duplex clients that pass `secret_check`, by the metadata `authorization: Bearer …`."""

    def __init__(self, sessions: Sessions, limits: ApiLimits, secret_check: SecretCheck) -> None:
        self._sessions = sessions
        self._limits = limits
        self._secret_check = secret_check

    async def Converse(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request_iterator: AsyncIterator[session_pb2.ConverseRequest], context: ServicerContext
    ) -> None:
        """Serve one session; when the client cancels the call, the session waits for it to reconnect."""
        metadata: dict[str, Any] = dict(context.invocation_metadata() or ())
        token = bearer_token(str(metadata.get("authorization", "")))
        peer, forwarded_for = grpc_address(context.peer()), str(metadata.get("x-forwarded-for", ""))
        with ExitStack() as held:
            try:
                caller = self._secret_check.require([token], peer, forwarded_for)
                held.enter_context(self._secret_check.key_limits.open_session(caller))
            except Denied as error:
                self._secret_check.record_refusal(error, peer, forwarded_for)
                raise
            transport = GrpcTransport(context, self._limits.max_text_chars)
            try:
                await run_session(self._sessions, transport, self._limits)
            finally:
                await transport.close()


def add_to(server: aio.Server, servicer: SessionServicer) -> None:
    """Register `servicer` on `server`."""
    session_pb2_grpc.add_SessionServiceServicer_to_server(servicer, server)
