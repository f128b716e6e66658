"""API keys of clients: a name, scopes, and the SHA-256 of a random token. The token itself is stored nowhere.

A key is written `name:scope+scope:sha256` in the setting `ORCHESTRATOR_API_KEYS`; `anchor keys` writes it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

TOKEN_PREFIX = "anchor_"  # noqa: S105
_TOKEN_BYTES = 32
_ENTRY = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,39}):(?P<scopes>[a-z+]+):(?P<digest>[0-9a-f]{64})")


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

    def __str__(self) -> str:
        return f"{self.name}:{'+'.join(scope for scope in Scope if scope in self.scopes)}:{self.digest}"


def new_api_key(name: str, scopes: frozenset[Scope]) -> tuple[str, ApiKey]:
    """A new token and its key. Raises `ValueError` for an invalid name, and without scopes."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    return token, parse_api_key(str(ApiKey(name, scopes, token_digest(token))))


def token_digest(token: str) -> str:
    """The SHA-256 of a token in hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def parse_api_key(entry: str) -> ApiKey:
    """Parse the setting's form of a key. Raises `ValueError` that does not quote it."""
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise ValueError("a key is written name:scope+scope:sha256, with a name of at most 40 letters, digits, . _ -")
    named = found["scopes"].split("+")
    if unknown := [scope for scope in named if scope not in list(Scope)]:
        raise ValueError(f"{unknown[0]!r} is no scope of a key: {', '.join(Scope)}")
    return ApiKey(found["name"], frozenset(map(Scope, named)), found["digest"])


def parse_api_keys(entries: tuple[str, ...]) -> tuple[ApiKey, ...]:
    """Parse all keys. Raises `ValueError` for an invalid one, and for two of one name."""
    keys = tuple(map(parse_api_key, entries))
    names = [key.name for key in keys]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two keys have the name {doubled[0]}")
    return keys
