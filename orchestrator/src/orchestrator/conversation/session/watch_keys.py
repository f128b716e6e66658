"""Watch keys: each lets its holder read the captions of one conversation, and do nothing else."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode

WATCH_PREFIX = "watch_"
_PURPOSE = b"anchor captions"


def watch_key(ticket: str) -> str:
    """The watch key of a conversation.

    It is derived from the ticket, which it does not reveal: it is the same after a restart, and nothing stores it.
    """
    digest = hmac.digest(ticket.encode("utf-8", "surrogatepass"), _PURPOSE, hashlib.sha256)
    return WATCH_PREFIX + urlsafe_b64encode(digest).decode().rstrip("=")


def is_watch_key(key: str, of_ticket: str) -> bool:
    """Whether `key` is that of a conversation, in constant time."""
    return hmac.compare_digest(key.encode("utf-8", "surrogatepass"), watch_key(of_ticket).encode())
