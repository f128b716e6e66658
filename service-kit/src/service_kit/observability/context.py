"""Whose work this is: session and turn, for logs and for the next service.

The ids live in context variables, travel as gRPC metadata, and end up in every log line; beside them travels the
trace that the work is part of, if it is part of one.
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
# Ids come from outside: longer ones are cut, so that a log line stays a log line.
_MAX_ID_CHARS = 64


def to_metadata() -> tuple[tuple[str, str], ...]:
    """The ids of the current context as gRPC metadata, and its trace."""
    return (*current_ids().items(), *tracing.headers().items())


def current_ids() -> dict[str, str]:
    """The ids of the current context by their names in metadata."""
    return {key: value for key, var in _KEYS.items() if (value := var.get())}


def adopt_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> None:
    """Make the ids of an incoming call those of the current context."""
    for key, value in metadata:
        if (var := _KEYS.get(key)) is not None and isinstance(value, str):
            var.set(value[:_MAX_ID_CHARS])
