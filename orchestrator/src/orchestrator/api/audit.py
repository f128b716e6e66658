"""Records the security events of the client APIs, as lines of the logger `audit` and in a file."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs

from service_kit.errors import InvalidRequest
from service_kit.http.api_keys import ApiKey
from service_kit.observability.audit import AUDIT_LOGGER, AuditFile, SecurityEvent, audit_record
from service_kit.token_bucket import TokenBucket
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as RequestScope

from orchestrator.api.callers import caller_in
from orchestrator.metrics import AUDIT_LINES_LOST, SECURITY_EVENTS

log = logging.getLogger(__name__)

# Lines of one kind of event a second, on average and at once: of those that anyone can cause, and of all others.
_LINES_OF_STRANGERS = (1, 20)
_LINES = (10, 200)
_BY_STRANGERS = frozenset({SecurityEvent.WRONG_SECRET, SecurityEvent.REFUSED})
# Lines that wait for the file.
_MAX_WAITING = 1000
# Time for them when the orchestrator ends, in seconds.
_FINISH_S = 2


class AuditLog:
    """Records events, counts each of them, and bounds the lines of each kind; `now_s` is a monotonic clock."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._buckets = {
            event: TokenBucket(*(_LINES_OF_STRANGERS if event in _BY_STRANGERS else _LINES)) for event in SecurityEvent
        }

    def record(self, event: SecurityEvent, level: int = logging.INFO, /, **fields: object) -> None:
        """Count an event and write its line, unless there were too many of its kind. Empty fields are left out."""
        SECURITY_EVENTS.labels(event).inc()
        now_s = self._now_s()
        if self._buckets[event].spend(0, now_s) > 0:
            AUDIT_LINES_LOST.inc()
            return
        self._buckets[event].spend(1, now_s)
        known = {name: value for name, value in fields.items() if value != ""}
        # Whatever the level of the log is.
        logging.getLogger(AUDIT_LOGGER).handle(audit_record(event, level, **known))

    def record_keys(self, keys: Iterable[ApiKey]) -> None:
        """Record the keys that are in force, without their digests."""
        described = [f"{key.name}:{'+'.join(key.ordered_scopes)}" for key in keys]
        self.record(SecurityEvent.KEYS_IN_FORCE, keys=described)


class AuditMiddleware:
    """ASGI middleware that records what changes or reads data of others, when it has succeeded."""

    def __init__(self, app: ASGIApp, audit: AuditLog, address_of: Callable[[RequestScope], str]) -> None:
        self._app = app
        self._audit = audit
        self._address_of = address_of

    async def __call__(self, scope: RequestScope, receive: Receive, send: Send) -> None:
        event = event_of(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if event is None:
            await self._app(scope, receive, send)
            return

        async def send_and_record(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 300:
                key, address = caller_in(scope).key, self._address_of(scope)
                self._audit.record(event, key=key, address=address, **_subject(event, scope))
            await send(message)

        await self._app(scope, receive, send_and_record)


def event_of(method: str, path: str) -> SecurityEvent | None:
    """The event that a successful request is."""
    match method, path.strip("/").split("/"):
        case "POST", ["v1", "audio", "voices"]:
            return SecurityEvent.VOICE_ADDED
        case "DELETE", ["v1", "audio", "voices", _]:
            return SecurityEvent.VOICE_DELETED
        case "GET", ["stored"]:
            return SecurityEvent.CONVERSATIONS_EXPORTED
        case "DELETE", ["stored"] | ["conversation", _]:
            return SecurityEvent.CONVERSATIONS_DELETED
        case "POST", ["conversation", _, "watch"]:
            return SecurityEvent.WATCH_KEY_ISSUED
        case "POST", ["access", "token"]:
            return SecurityEvent.TOKEN_ISSUED
        case _:
            return None


def _subject(event: SecurityEvent, scope: RequestScope) -> dict[str, str]:
    """What the request names, but no ticket, no person, and no voice: its id is made of a person's name."""
    if event in (SecurityEvent.CONVERSATIONS_EXPORTED, SecurityEvent.CONVERSATIONS_DELETED):
        named = parse_qs(scope["query_string"].decode("latin-1"))
        return {"by": next((name for name in ("session_id", "person_id") if name in named), "ticket")}
    return {}


class _WritingHandler(logging.Handler):
    """Has a thread write the records, and counts those for which there is no room: a disk that hangs delays nothing."""

    def __init__(self, file: AuditFile) -> None:
        super().__init__()
        self._file = file
        # None ends the thread.
        self._waiting = queue.Queue[logging.LogRecord | None](_MAX_WAITING)
        self._thread = threading.Thread(target=self._write, name="audit", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            AUDIT_LINES_LOST.inc()

    def finish(self) -> None:
        """Write what waits; give up on a disk that takes longer than `_FINISH_S`."""
        try:
            self._waiting.put(None, timeout=_FINISH_S)
        except queue.Full:
            log.error("audit file hangs", extra={"lines_lost": self._waiting.qsize()})
            return
        self._thread.join(_FINISH_S)
        if self._thread.is_alive():
            log.error("audit file hangs", extra={"lines_lost": self._waiting.qsize()})

    def _write(self) -> None:
        while (record := self._waiting.get()) is not None:
            self._file.handle(record)
        self._file.close()


@contextmanager
def audit_file(path: Path, service: str) -> Generator[None]:
    """Write the audit log to a file too, in a thread, until the context is left; what waits is written then.

    Raises `InvalidRequest` when the file cannot be opened.
    """
    try:
        file = AuditFile(path, service, _on_write_failed)
    except OSError as error:
        message = f"ORCHESTRATOR_AUDIT_FILE: cannot open {path}: {error.strerror}"
        raise InvalidRequest("orchestrator.audit_file", message) from error
    handler = _WritingHandler(file)
    logging.getLogger(AUDIT_LOGGER).addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger(AUDIT_LOGGER).removeHandler(handler)
        handler.finish()


def _on_write_failed(error: BaseException | None) -> None:
    AUDIT_LINES_LOST.inc()
    log.error("audit file was not written", extra={"reason": str(error)})
