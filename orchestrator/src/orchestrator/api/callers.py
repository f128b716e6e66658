"""Who sent a request: the key and the scopes with which a caller passed the access check."""

from __future__ import annotations

from dataclasses import dataclass

from service_kit.http.api_keys import Scope as KeyScope
from starlette.requests import HTTPConnection
from starlette.types import Scope

# The entry of an ASGI scope that holds the caller.
_ENTRY = "anchor.caller"


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller that passed; `key` is the name of its key, empty with the shared secret and where none is required."""

    key: str = ""
    scopes: frozenset[KeyScope] = frozenset(KeyScope)


def attach_caller(scope: Scope, caller: Caller) -> None:
    """Note in an ASGI scope who sent the request."""
    scope[_ENTRY] = caller


def caller_in(scope: Scope) -> Caller:
    """Return the caller that is noted in an ASGI scope; without a check before it, one that has every scope."""
    return scope.get(_ENTRY) or Caller()


def caller_of(connection: HTTPConnection) -> Caller:
    """Return who sent a request or opened a WebSocket."""
    return caller_in(connection.scope)
