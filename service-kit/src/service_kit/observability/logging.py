"""Logging: a static message in the past tense, values as fields, ids from the context.

log.info("turn finished", extra={"response_latency_ms": 612})
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime

from service_kit.observability import tracing
from service_kit.observability.context import SESSION_ID, TURN_ID
from service_kit.safe_text import escape_control, hide_credentials
from service_kit.settings import LogFormat

# Characters that JSON leaves as they are: DEL and C1, separators of lines, changes of direction, half characters.
_NOT_PRINTABLE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SEPARATING = re.compile(r"[\s=\"]")
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = {}
    if session_id := SESSION_ID.get():
        fields["session_id"] = session_id
    if turn_id := TURN_ID.get():
        fields["turn_id"] = turn_id
    if trace_id := tracing.trace_id():
        fields["trace_id"] = trace_id
    fields.update({key: value for key, value in record.__dict__.items() if key not in _STANDARD})
    return fields


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # JSON escapes the C0 control characters itself; all others are escaped alike.
        return _NOT_PRINTABLE.sub(_json_escape, hide_credentials(json.dumps(line, default=str, ensure_ascii=False)))


def _json_escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


class TextFormatter(logging.Formatter):
    """Formats a record for a terminal: one line, and an exception on indented lines below it.

    Messages, names and values may come from clients: control characters are escaped, and a value in which a space or an
    equals sign would read as another field is quoted.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S.%f")[:-3]
        fields = "".join(f" {_word(key)}={_word(str(value))}" for key, value in _fields(record).items())
        message = escape_control(record.getMessage())
        lines = [f"{clock} {record.levelname:<7} {self._service:<13} {message}{fields}"]
        if record.exc_info:
            lines += [f"    {escape_control(each)}" for each in self.formatException(record.exc_info).split("\n")]
        return hide_credentials("\n".join(lines))


def _word(text: str) -> str:
    return escape_control(text if text and not _SEPARATING.search(text) else json.dumps(text, ensure_ascii=False))


def configure_logging(service: str, level: str, log_format: LogFormat) -> None:
    """Send all log records of this process to standard output, in one format."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(service) if log_format == "json" else TextFormatter(service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Lines for each request or probe repeat the metrics.
    for noisy in ("uvicorn", "uvicorn.access", "uvicorn.error", "httpx", "httpcore"):
        logging.getLogger(noisy).handlers.clear()
        logging.getLogger(noisy).setLevel(logging.WARNING)
