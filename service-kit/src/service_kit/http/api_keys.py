"""API keys of clients: a name, scopes, and the SHA-256 of a random token. The token itself is stored nowhere.

A key is written `name:scope+scope:sha256` in the setting `ORCHESTRATOR_API_KEYS`, with its limits behind it
(`:sessions=4:minute=60`); `anchor keys` writes it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

TOKEN_PREFIX = "anchor_"  # noqa: S105
_TOKEN_BYTES = 32
_ENTRY = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,39}):(?P<scopes>[a-z+]+):(?P<digest>[0-9a-f]{64})"
    r"(?::sessions=(?P<sessions>[1-9][0-9]{0,3}))?(?::minute=(?P<minute>[1-9][0-9]{0,3}))?"
)


class Scope(StrEnum):
    """What a key allows. The shared secret allows everything."""

    # Conversations, speech and transcription, and reading the list of voices.
    TALK = "talk"
    # Adding and deleting voices, and all of consents.
    VOICES = "voices"
    # Exporting and deleting stored conversations by session and person.
    DATA = "data"
    # Parking and waking engines.
    ENGINES = "engines"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key. A token has 256 random bits, so that its plain SHA-256 cannot be reversed."""

    name: str
    scopes: frozenset[Scope]
    digest: str
    # Sessions at one time, and requests in any 60 s; None for no limit.
    max_sessions: int | None = None
    per_minute: int | None = None

    @property
    def ordered_scopes(self) -> list[Scope]:
        """The scopes, in the order of their definition."""
        return [scope for scope in Scope if scope in self.scopes]

    def __str__(self) -> str:
        limits = (("sessions", self.max_sessions), ("minute", self.per_minute))
        written = "".join(f":{name}={limit}" for name, limit in limits if limit is not None)
        return f"{self.name}:{'+'.join(self.ordered_scopes)}:{self.digest}{written}"


def new_api_key(
    name: str, scopes: frozenset[Scope], *, max_sessions: int | None = None, per_minute: int | None = None
) -> tuple[str, ApiKey]:
    """A new token and its key. Raises `ValueError` for an invalid name or limit, and without scopes."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    return token, parse_api_key(str(ApiKey(name, scopes, token_digest(token), max_sessions, per_minute)))


def token_digest(token: str) -> str:
    """The SHA-256 of a token in hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def parse_api_key(entry: str) -> ApiKey:
    """Parse the setting's form of a key. Raises `ValueError` that does not quote it."""
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise ValueError(
            "a key is written name:scope+scope:sha256, with a name of at most 40 letters, digits, . _ -, and behind it"
            " :sessions=N and :minute=N, 1 to 9999, for its limits"
        )
    named = found["scopes"].split("+")
    if unknown := [scope for scope in named if scope not in list(Scope)]:
        raise ValueError(f"{unknown[0]!r} is no scope of a key: {', '.join(Scope)}")
    limits = (int(found[limit]) if found[limit] else None for limit in ("sessions", "minute"))
    return ApiKey(found["name"], frozenset(map(Scope, named)), found["digest"], *limits)


def parse_api_keys(entries: tuple[str, ...]) -> tuple[ApiKey, ...]:
    """Parse all keys. Raises `ValueError` for an invalid one, and for two of one name."""
    keys = tuple(map(parse_api_key, entries))
    names = [key.name for key in keys]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two keys have the name {doubled[0]}")
    return keys
