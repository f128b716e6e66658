"""Bodies of requests that are no recordings: small, and here soon, or not read.

FastAPI reads the body that a route declares to its end, however long that is and takes.
"""

from __future__ import annotations

import asyncio

from fastapi.datastructures import Headers
from service_kit.errors import InvalidRequest
from service_kit.observability.metrics import ERRORS
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api.disconnect import ClientDisconnected
from orchestrator.api.http.errors import BodyAbandoned, error_response
from orchestrator.api.limits import ApiLimits


class BodyLimitMiddleware:
    """ASGI middleware that hands on requests whose body has come in full; those of `exempt` paths at once."""

    def __init__(self, app: ASGIApp, limits: ApiLimits, exempt: tuple[str, ...]) -> None:
        self._app = app
        self._limits = limits
        self._exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._exempt and _has_body(scope):
            try:
                receive = _after(await self._body(receive), receive)
            except InvalidRequest as error:
                ERRORS.labels(error.code).inc()
                await error_response(error)(scope, receive, send)
                return
            except ClientDisconnected:
                return
        await self._app(scope, receive, send)

    async def _body(self, receive: Receive) -> bytes:
        """The whole body. Raises `BodyAbandoned`, and `HungUp` when the caller went before it was complete."""
        body = bytearray()
        within_s = self._limits.small_body_s
        try:
            async with asyncio.timeout(within_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnected
                    body += message.get("body", b"")
                    if len(body) > self._limits.small_body_bytes:
                        reason = f"the body is larger than {self._limits.small_body_bytes} bytes"
                        raise BodyAbandoned("session.body_too_large", reason)
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError as error:
            raise BodyAbandoned("session.body_stalled", f"not all came within {within_s:g} s") from error


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _after(body: bytes, receive: Receive) -> Receive:
    """`receive` behind the body that has been read already."""
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_whole() -> Message:
        return whole.pop() if whole else await receive()

    return receive_whole
