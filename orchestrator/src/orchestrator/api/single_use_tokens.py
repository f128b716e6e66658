"""Single-use tokens: a page that is given one opens one WebSocket with it, and learns neither secret nor key."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from service_kit.http.api_keys import Scope, token_digest

from orchestrator.api.callers import Caller

TOKEN_PREFIX = "once_"  # noqa: S105
LIFETIME_S = 60
# Tokens of one caller that are not used yet; a further one replaces the oldest of that caller.
MAX_TOKENS_PER_CALLER = 64
# A WebSocket needs no other scope.
_SCOPES = frozenset({Scope.TALK})
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class _Issued:
    caller: Caller
    expires_s: float


class SingleUseTokens:
    """The tokens that are not used yet, by their SHA-256: the time of a look-up tells nothing about a token.

    They are in memory only: a restart forgets them. `now_s` is a monotonic clock in seconds.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._by_caller: dict[str, OrderedDict[str, _Issued]] = {}

    def issue(self, caller: Caller) -> str:
        """A new token with the caller's scope for conversations, and no other."""
        issued = self._by_caller.setdefault(caller.key, OrderedDict())
        if len(issued) >= MAX_TOKENS_PER_CALLER:
            issued.popitem(last=False)
        token = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        limited = Caller(caller.key, caller.scopes & _SCOPES)
        issued[token_digest(token)] = _Issued(limited, self._now_s() + LIFETIME_S)
        return token

    def redeem(self, token: str) -> Caller | None:
        """Use up a token; returns who it was issued to, None for one that is unknown, used or expired."""
        digest = token_digest(token)
        for issued in self._by_caller.values():
            if (found := issued.pop(digest, None)) is not None:
                return found.caller if self._now_s() < found.expires_s else None
        return None
