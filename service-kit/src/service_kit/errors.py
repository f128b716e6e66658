"""The errors between services, divided by who must act.

    AnchorError(code, message)
      ├ InvalidRequest   the caller must change it      → INVALID_ARGUMENT
      │   ├ Unsupported  no engine here can do that     → UNIMPLEMENTED
      │   └ NotFound     the named object is missing    → NOT_FOUND
      ├ Denied           the caller has no permission   → UNAUTHENTICATED
      ├ AtCapacity       try again soon                 → RESOURCE_EXHAUSTED
      ├ NotReady         a model is still loading       → UNAVAILABLE
      │   └ Stopping     the process ends, come again   → UNAVAILABLE
      ├ EngineFailed     our own model failed           → INTERNAL
      └ PeerFailed       another service failed         → UNAVAILABLE

`code` is a stable dotted string (`stt.engine_failed`) that clients may rely on; `message` is for people. It reaches
clients, logs and `/health`, so the user and password of a URL in it are hidden, and control characters escaped: it may
quote what a client or a peer sent, up to `MAX_MESSAGE_CHARS` in all.
"""

from __future__ import annotations

from typing import ClassVar

import grpc

from service_kit.safe_text import escape_control_in_lines, hide_credentials

# Above any message of ours; gRPC sends it in a trailer, of which clients accept 8 KiB.
MAX_MESSAGE_CHARS = 2_000


class AnchorError(Exception):
    """The root: a failure with a stable code."""

    status: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    retryable: ClassVar[bool] = False
    # RFC 6455 close code for a session that ends with this error.
    websocket_close_code: ClassVar[int] = 1011
    http_status: ClassVar[int] = 500

    def __init__(self, code: str, message: str) -> None:
        message = hide_credentials(escape_control_in_lines(message))
        if len(message) > MAX_MESSAGE_CHARS:
            message = message[: MAX_MESSAGE_CHARS - 1] + "…"
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class InvalidRequest(AnchorError):
    """The caller must change the request."""

    status = grpc.StatusCode.INVALID_ARGUMENT
    websocket_close_code = 1008
    http_status = 400


class Unsupported(InvalidRequest):
    """The request is well formed, but no engine here can do it."""

    status = grpc.StatusCode.UNIMPLEMENTED
    http_status = 422


class NotFound(InvalidRequest):
    """The named object does not exist."""

    status = grpc.StatusCode.NOT_FOUND
    http_status = 404


class Denied(AnchorError):
    """The caller did not prove its permission."""

    status = grpc.StatusCode.UNAUTHENTICATED
    websocket_close_code = 1008
    http_status = 401


class AtCapacity(AnchorError):
    """All capacity is in use; try again soon."""

    status = grpc.StatusCode.RESOURCE_EXHAUSTED
    retryable = True
    websocket_close_code = 1013
    http_status = 503


class NotReady(AnchorError):
    """A model is still loading."""

    status = grpc.StatusCode.UNAVAILABLE
    retryable = True
    websocket_close_code = 1013
    http_status = 503


class Stopping(NotReady):
    """The process stops or restarts; another one, or its successor, continues."""

    # "Service Restart", in the registry of RFC 6455.
    websocket_close_code = 1012


class EngineFailed(AnchorError):
    """Our own model failed."""

    status = grpc.StatusCode.INTERNAL
    retryable = True


class PeerFailed(AnchorError):
    """Another service failed, disappeared or stopped answering."""

    status = grpc.StatusCode.UNAVAILABLE
    retryable = True
    http_status = 503


# Trailing metadata key for `code`, beside the gRPC status.
ERROR_CODE_KEY = "anchor-error-code"

_BY_STATUS: dict[grpc.StatusCode, type[AnchorError]] = {
    kind.status: kind for kind in (InvalidRequest, Unsupported, NotFound, Denied, AtCapacity, EngineFailed)
}


def from_rpc_error(error: grpc.aio.AioRpcError, peer: str) -> AnchorError:
    """Return the `AnchorError` for a failed call; `peer` is the name of the called service."""
    code = next((str(value) for key, value in error.trailing_metadata() or () if key == ERROR_CODE_KEY), None)
    kind = _BY_STATUS.get(error.code(), PeerFailed)
    if code is None:
        kind, code = PeerFailed, f"{peer}.{error.code().name.lower()}"
    return kind(code, error.details() or error.code().name)


def root_cause(error: BaseException) -> BaseException:
    """Return the first `AnchorError` in a (nested) exception group, else its first leaf; other errors as they are."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [root_cause(inner) for inner in error.exceptions]
    return next((leaf for leaf in leaves if isinstance(leaf, AnchorError)), leaves[0])
