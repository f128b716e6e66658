"""Limits the size and the duration of request bodies, except uploads, which have limits of their own.

FastAPI reads the body of a route that declares one to its end, without any limit.
"""

from __future__ import annotations

import asyncio

from fastapi.datastructures import Headers
from service_kit.errors import InvalidRequest
from service_kit.observability.metrics import ERRORS
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api.disconnect import ClientDisconnected
from orchestrator.api.errors import BodyAbandoned, error_response
from orchestrator.api.limits import ApiLimits


class BodyLimitMiddleware:
    """ASGI middleware that reads a request's whole body before it calls the app, except for `exempt` paths."""

    def __init__(self, app: ASGIApp, limits: ApiLimits, exempt: tuple[str, ...]) -> None:
        self._app = app
        self._limits = limits
        self._exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._exempt and _has_body(scope):
            try:
                receive = _replay_body(await self._read_body(receive), receive)
            except InvalidRequest as error:
                ERRORS.labels(error.code).inc()
                await error_response(error)(scope, receive, send)
                return
            except ClientDisconnected:
                return
        await self._app(scope, receive, send)

    async def _read_body(self, receive: Receive) -> bytes:
        """Read the whole body. Raises `BodyAbandoned`, or `ClientDisconnected` when the client disconnects first."""
        body = bytearray()
        timeout_s = self._limits.body_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnected
                    body += message.get("body", b"")
                    if len(body) > self._limits.max_body_bytes:
                        reason = f"the body is larger than {self._limits.max_body_bytes} bytes"
                        raise BodyAbandoned("session.body_too_large", reason)
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError as error:
            raise BodyAbandoned("session.body_stalled", f"the body did not arrive within {timeout_s:g} s") from error


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that first yields the body that has already been read."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_replayed() -> Message:
        return messages.pop() if messages else await receive()

    return receive_replayed
