"""The combined log of a mesh: one file, the last lines of each service, and what people must see."""

from __future__ import annotations

import json
import logging
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import cast

FILE_BYTES = 10_000_000
OLD_FILES = 3
RECENT_LINES = 200
# Longest line kept together; what is longer is cut.
LINE_BYTES = 1_000_000

_SUPERVISOR_LINE = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]+ (?P<level>[A-Z]+) (?P<message>.*)$")
_SUPERVISOR_LEVELS = {"CRIT": "critical", "ERRO": "error", "WARN": "warning", "INFO": "info"}
_SHOWN_LEVELS = frozenset({"warning", "error", "critical"})
_KNOWN_FIELDS = frozenset({"time", "level", "service", "logger", "message"})


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log; `service` and `level` are empty for what is not in any format of ours."""

    text: str
    service: str = ""
    level: str = ""
    message: str = ""
    fields: dict[str, object] = field(default_factory=dict[str, object])

    @property
    def urgent(self) -> bool:
        """Whether people must see it."""
        return self.level in _SHOWN_LEVELS


def parse(text: str) -> LogLine:
    """Read a line as a service or the supervisor wrote it."""
    if text.startswith("{"):
        try:
            record = cast("dict[str, object]", json.loads(text))
        except ValueError:
            return LogLine(text)
        fields = {name: value for name, value in record.items() if name not in _KNOWN_FIELDS}
        service, level, message = (str(record.get(name, "")) for name in ("service", "level", "message"))
        return LogLine(text, service, level, message, fields)
    if match := _SUPERVISOR_LINE.match(text):
        # Being told to stop is no warning.
        expected = match["message"].startswith("received SIG")
        level = "info" if expected else _SUPERVISOR_LEVELS.get(match["level"], "info")
        return LogLine(text, "supervisor", level, match["message"])
    return LogLine(text)


class MeshLog:
    """Takes the mesh's output as it comes; writes it to `path` (rotated at 10 MB) and shows what is urgent."""

    def __init__(self, path: Path, show: Callable[[LogLine], None]) -> None:
        self.path = path
        self._show = show
        self._file = RotatingFileHandler(path, maxBytes=FILE_BYTES, backupCount=OLD_FILES, encoding="utf-8")
        self._recent: deque[LogLine] = deque(maxlen=RECENT_LINES)
        self._rest = b""

    def write(self, output: bytes) -> None:
        """Take a piece of output."""
        *lines, self._rest = (self._rest + output).split(b"\n")
        if len(self._rest) > LINE_BYTES:
            lines.append(self._rest)
            self._rest = b""
        for raw in lines:
            line = parse(raw.decode("utf-8", "replace"))
            self._recent.append(line)
            self._file.emit(logging.makeLogRecord({"msg": line.text}))
            if line.urgent:
                self._show(line)

    def last_lines(self, program: str, count: int) -> list[str]:
        """The last lines of `program` (`stt` logs as `stt-service`), of the supervisor, and of nobody in particular,
        such as tracebacks of what broke early."""
        names = {program, "supervisor", ""}
        return [line.text for line in self._recent if line.service.partition("-")[0] in names][-count:]

    def close(self) -> None:
        """Write what is left and close the file."""
        if self._rest:
            self.write(b"\n")
        self._file.close()
