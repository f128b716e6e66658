"""The ids of the current session and turn, for logs and for calls to other services.

The ids are context variables. They are sent as gRPC metadata, together with the trace context, and logged with every
line.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar

from service_kit.observability import tracing

SESSION_ID: ContextVar[str] = ContextVar("session_id", default="")
TURN_ID: ContextVar[str] = ContextVar("turn_id", default="")
TURN_REVISION: ContextVar[str] = ContextVar("turn_revision", default="")

_KEYS: dict[str, ContextVar[str]] = {
    "session-id": SESSION_ID,
    "turn-id": TURN_ID,
    "turn-revision": TURN_REVISION,
}
# Ids come from clients; longer ones are truncated to bound the log line.
_MAX_ID_CHARS = 64


def to_metadata() -> tuple[tuple[str, str], ...]:
    """Return the ids and the trace of the current context as gRPC metadata."""
    return (*current_ids().items(), *tracing.headers().items())


def current_ids() -> dict[str, str]:
    """Return the ids of the current context by their metadata keys."""
    return {key: value for key, var in _KEYS.items() if (value := var.get())}


def adopt_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> None:
    """Set the ids of the current context from the metadata of an incoming call."""
    for key, value in metadata:
        if (var := _KEYS.get(key)) is not None and isinstance(value, str):
            var.set(value[:_MAX_ID_CHARS])
