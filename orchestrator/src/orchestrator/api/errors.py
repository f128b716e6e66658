"""Error responses of the HTTP APIs: always `{"error": {"code", "message", "retryable"}}`."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from service_kit.errors import AnchorError, Denied, InvalidRequest
from service_kit.observability.metrics import ERRORS
from service_kit.safe_text import escape_control
from starlette.exceptions import HTTPException

from orchestrator.api.secret_check import TooManyGuesses

log = logging.getLogger(__name__)

_MAX_FIELD_CHARS = 80


class BodyAbandoned(InvalidRequest):
    """The rest of the request's body is not read; the connection closes after the response.

    The client may then see only the closed connection and not the response, so a body that is only moderately too
    large is read to its end instead.
    """


def error_response(error: AnchorError) -> JSONResponse:
    """Return the response for `error`."""
    headers: dict[str, str] = {}
    if isinstance(error, (BodyAbandoned, Denied)):
        headers["Connection"] = "close"
    if isinstance(error, Denied) and error.http_status == Denied.http_status:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retryable:
        headers["Retry-After"] = str(error.retry_after_s) if isinstance(error, TooManyGuesses) else "1"
    return _json_error(error.http_status, error.code, error.message, error.retryable, headers)


def _json_error(status: int, code: str, message: str, retryable: bool, headers: dict[str, str]) -> JSONResponse:
    body = {"error": {"code": code, "message": message, "retryable": retryable}}
    return JSONResponse(body, status, headers)


def first_validation_error(error: ValidationError | RequestValidationError) -> str:
    """Return the first problem that validation found, with the start of its field's name, which a client may choose."""
    first = error.errors()[0]
    field = escape_control(".".join(str(part) for part in first["loc"])[:_MAX_FIELD_CHARS])
    return f"{field}: {escape_control(first['msg'])}"


def add_error_handlers(app: FastAPI) -> None:
    """Install the handlers that turn every exception of `app`'s routes into an error response."""

    @app.exception_handler(AnchorError)
    async def handle_anchor_error(request: Request, error: AnchorError) -> Response:  # pyright: ignore[reportUnusedFunction]
        ERRORS.labels(error.code).inc()
        # Log the route's template: the URL itself may contain a ticket.
        path = getattr(request.scope.get("route"), "path", "")
        log.warning("request failed", extra={"path": path, "code": error.code, "reason": error.message})
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def handle_validation_error(_: Request, error: RequestValidationError) -> Response:  # pyright: ignore[reportUnusedFunction]
        return error_response(InvalidRequest("session.bad_message", first_validation_error(error)))

    @app.exception_handler(HTTPException)
    async def handle_http_exception(_: Request, error: HTTPException) -> Response:  # pyright: ignore[reportUnusedFunction]
        headers = dict(error.headers or {})
        return _json_error(error.status_code, f"http.{error.status_code}", str(error.detail), False, headers)

    @app.exception_handler(Exception)
    async def handle_unexpected_error(_: Request, error: Exception) -> Response:  # pyright: ignore[reportUnusedFunction]
        # Starlette raises the error again after this response, and the server logs it.
        return _json_error(500, "internal", "internal error", False, {})
