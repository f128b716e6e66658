"""The audit log: one record of the logger `audit` for each security event, and its file.

A record has no words of a conversation, no secret and no ticket: the event, the name of the key, the address, a code.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from enum import StrEnum
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from service_kit.observability.logging import JsonFormatter

AUDIT_LOGGER = "audit"
# Of the file, and of each of the older ones beside it.
MAX_FILE_BYTES = 5 * 2**20
OLDER_FILES = 4


class SecurityEvent(StrEnum):
    """What the audit log records."""

    # The keys that an orchestrator was started with.
    KEYS_IN_FORCE = "keys_in_force"
    KEY_ADDED = "key_added"
    KEY_REMOVED = "key_removed"
    # The first time that a run of the orchestrator sees the key, or the shared secret.
    KEY_USED = "key_used"
    WRONG_SECRET = "wrong_secret"  # noqa: S105
    # Everything else that is refused; `code` says why.
    REFUSED = "refused"
    TOKEN_ISSUED = "token_issued"  # noqa: S105
    TOKEN_USED = "token_used"  # noqa: S105
    WATCH_KEY_ISSUED = "watch_key_issued"
    CAPTIONS_WATCHED = "captions_watched"
    VOICE_ADDED = "voice_added"
    VOICE_DELETED = "voice_deleted"
    CONVERSATIONS_EXPORTED = "conversations_exported"
    CONVERSATIONS_DELETED = "conversations_deleted"


def audit_record(event: SecurityEvent, level: int = logging.INFO, /, **fields: object) -> logging.LogRecord:
    """The record of an event."""
    extra = {"event": event.value, **fields}
    message = event.replace("_", " ")
    return logging.getLogger(AUDIT_LOGGER).makeRecord(AUDIT_LOGGER, level, "", 0, message, (), None, extra=extra)


class AuditFile(RotatingFileHandler):
    """Appends records to a file, as lines of JSON; only its owner may read it.

    With `rotates`, a full file becomes the first of `OLDER_FILES`; a program that only adds a line leaves that to the
    one that has the file open. `on_error` gets what keeps a line from being written. Raises `OSError` when the file
    cannot be opened.
    """

    def __init__(
        self, path: Path, service: str, on_error: Callable[[BaseException | None], None], *, rotates: bool = True
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        limit = MAX_FILE_BYTES if rotates else 0
        super().__init__(path, maxBytes=limit, backupCount=OLDER_FILES, encoding="utf-8")
        self.setFormatter(JsonFormatter(service))
        self._on_error = on_error

    def _open(self) -> TextIOWrapper:
        stream = super()._open()
        os.fchmod(stream.fileno(), 0o600)
        return stream

    def handleError(self, record: logging.LogRecord) -> None:
        """Report the error that is being handled."""
        self._on_error(sys.exc_info()[1])
