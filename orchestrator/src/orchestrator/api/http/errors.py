"""How HTTP clients are told that something went wrong: `{"error": {"code", "message", "retryable"}}`, always."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from service_kit.errors import AnchorError, Denied, InvalidRequest
from service_kit.observability.metrics import ERRORS
from starlette.exceptions import HTTPException

log = logging.getLogger(__name__)


class BodyAbandoned(InvalidRequest):
    """The rest of the request's body is not read, however long it goes on: the connection closes.

    The client may then see no answer but the closing, so a body that is too large within reason is read to its end.
    """


def error_response(error: AnchorError) -> JSONResponse:
    """The answer that says `error`."""
    headers: dict[str, str] = {}
    if isinstance(error, (BodyAbandoned, Denied)):
        headers["Connection"] = "close"
    if isinstance(error, Denied) and error.http_status == Denied.http_status:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retryable:
        headers["Retry-After"] = "1"
    return _failure(error.http_status, error.code, error.message, error.retryable, headers)


def _failure(status: int, code: str, message: str, retryable: bool, headers: dict[str, str]) -> JSONResponse:
    body = {"error": {"code": code, "message": message, "retryable": retryable}}
    return JSONResponse(body, status, headers)


def first_fault(error: ValidationError | RequestValidationError) -> str:
    """The first thing wrong with a message, its field named."""
    fault = error.errors()[0]
    place = ".".join(str(part) for part in fault["loc"])
    return f"{place}: {fault['msg']}"


def add_error_handlers(app: FastAPI) -> None:
    """Make every failure of `app`'s routes answer alike."""

    @app.exception_handler(AnchorError)
    async def say_anchor_error(request: Request, error: AnchorError) -> Response:  # pyright: ignore[reportUnusedFunction]
        ERRORS.labels(error.code).inc()
        # The path as the route has it: the address itself may hold a ticket.
        path = getattr(request.scope.get("route"), "path", "")
        log.warning("request failed", extra={"path": path, "code": error.code, "reason": error.message})
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def say_invalid(_: Request, error: RequestValidationError) -> Response:  # pyright: ignore[reportUnusedFunction]
        return error_response(InvalidRequest("session.bad_message", first_fault(error)))

    @app.exception_handler(HTTPException)
    async def say_http_error(_: Request, error: HTTPException) -> Response:  # pyright: ignore[reportUnusedFunction]
        headers = dict(error.headers or {})
        return _failure(error.status_code, f"http.{error.status_code}", str(error.detail), False, headers)

    @app.exception_handler(Exception)
    async def say_bug(_: Request, error: Exception) -> Response:  # pyright: ignore[reportUnusedFunction]
        # The server logs it, for the error is raised again once this has been answered.
        return _failure(500, "internal", "internal error", False, {})
