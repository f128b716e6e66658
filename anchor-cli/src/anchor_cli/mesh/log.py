"""The combined log of a mesh: writes all output to one file, shows warnings, and buffers the latest lines."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import cast

from rich.text import Text
from service_kit.parsing.documents import parse_json

MAX_FILE_BYTES = 10_000_000
ROTATED_FILES = 3
RECENT_LINES = 200
# Longer lines are split.
MAX_LINE_BYTES = 1_000_000

_SUPERVISOR_LINE = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]+ (?P<level>[A-Z]+) (?P<message>.*)$")
_SUPERVISOR_LEVELS = {"CRIT": "critical", "ERRO": "error", "WARN": "warning", "INFO": "info"}
_SHOWN_LEVELS = frozenset({"warning", "error", "critical"})
_KNOWN_FIELDS = frozenset({"time", "level", "service", "logger", "message"})


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log; `service` and `level` are empty for an unknown format."""

    text: str
    service: str = ""
    level: str = ""
    message: str = ""
    fields: dict[str, object] = field(default_factory=dict[str, object])

    @property
    def is_shown(self) -> bool:
        """Whether the line is shown at the terminal: warnings and above."""
        return self.level in _SHOWN_LEVELS


def parse_line(text: str) -> LogLine:
    """Parse a JSON line of a service or a text line of supervisord."""
    if text.startswith("{"):
        try:
            record = cast("dict[str, object]", parse_json(text))
        except ValueError:
            return LogLine(text)
        fields = {name: value for name, value in record.items() if name not in _KNOWN_FIELDS}
        service, level, message = (str(record.get(name, "")) for name in ("service", "level", "message"))
        return LogLine(text, service, level, message, fields)
    if match := _SUPERVISOR_LINE.match(text):
        # A stop signal is expected, although supervisord logs it as a warning.
        expected = match["message"].startswith("received SIG")
        level = "info" if expected else _SUPERVISOR_LEVELS.get(match["level"], "info")
        return LogLine(text, "supervisor", level, match["message"])
    return LogLine(text)


class MeshLog:
    """Writes the mesh's output to `path` (rotated at 10 MB) and passes warnings and errors to `show`."""

    def __init__(self, path: Path, show: Callable[[LogLine], None]) -> None:
        self.path = path
        self._show = show
        self._file = RotatingFileHandler(path, maxBytes=MAX_FILE_BYTES, backupCount=ROTATED_FILES, encoding="utf-8")
        self._recent: deque[LogLine] = deque(maxlen=RECENT_LINES)
        self._partial_line = b""

    def write_output(self, output: bytes) -> None:
        """Append a chunk of output, which may end within a line."""
        *lines, self._partial_line = (self._partial_line + output).split(b"\n")
        if len(self._partial_line) > MAX_LINE_BYTES:
            lines.append(self._partial_line)
            self._partial_line = b""
        for raw in lines:
            line = parse_line(raw.decode("utf-8", "replace"))
            self._recent.append(line)
            self._file.emit(logging.makeLogRecord({"msg": line.text}))
            if line.is_shown:
                self._show(line)

    def last_lines(self, program: str, count: int) -> list[str]:
        """The last lines of `program` (`stt` logs as `stt-service`), of the supervisor, and without a service, such as
        tracebacks."""
        names = {program, "supervisor", ""}
        return [line.text for line in self._recent if line.service.partition("-")[0] in names][-count:]

    def close(self) -> None:
        """Write the last partial line and close the file."""
        if self._partial_line:
            self.write_output(b"\n")
        self._file.close()


def render_log_line(line: LogLine) -> Text:
    """One line for a warning or an error of the mesh."""
    style = "yellow" if line.level == "warning" else "red"
    fields = " ".join(f"{name}={value}" for name, value in line.fields.items() if name != "exception")
    return Text.assemble((f"{line.level} ", style), (f"{line.service} ", "bold"), f"{line.message} {fields}".rstrip())
