"""The script of the `scripted` engines: one TOML file with a section for each service.

    [stt]
    transcripts = ["what is the news", "tell me more"]
    final_delay_ms = 100
    [llm]
    fault = "hang"
    fault_at = 2

A service declares its keys in a subclass of `ScriptSection` and reads its section with `load_section`. The setting
`ANCHOR_SCRIPT` is the path of the file; without it every section has its defaults.
"""

from __future__ import annotations

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service_kit.errors import InvalidRequest
from service_kit.parsing.documents import parse_toml

SECTIONS = frozenset({"stt", "llm", "tts"})


class Fault(StrEnum):
    """Ways in which a scripted engine fails."""

    # Sends nothing more and never ends.
    HANG = "hang"
    # The process exits at once.
    DIE = "die"
    # Raises `EngineFailed`.
    ERROR = "error"
    # Sends malformed results.
    GARBAGE = "garbage"
    # Sends no result and ends without an error.
    EMPTY = "empty"
    # Sends results without end.
    ENDLESS = "endless"


class ScriptSection(BaseModel):
    """Keys of every scripted engine; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fault: Fault | None = None
    # Which piece of work fails, counted from 1: an utterance for stt, a reply for llm, a stream for tts.
    fault_at: int = Field(default=1, ge=1)

    def fault_of(self, number: int) -> Fault | None:
        """Return the fault of the `number`-th piece of work, counted from 1; None when it succeeds."""
        return self.fault if number == self.fault_at else None


Section = TypeVar("Section", bound=ScriptSection)


def load_section(path: Path | None, name: str, kind: type[Section]) -> Section:
    """Read section `name` of the script at `path`; its defaults where the section or the path is absent.

    Raises `InvalidRequest` when the file is unreadable or invalid, or has an unknown section.
    """
    if path is None:
        return kind()
    try:
        script: dict[str, Any] = parse_toml(path.read_text("utf-8"))
        if unknown := script.keys() - SECTIONS:
            raise InvalidRequest("script.invalid", f"{path}: unknown sections {', '.join(sorted(unknown))}")
        return kind.model_validate(script.get(name, {}))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise InvalidRequest("script.invalid", f"{path}: {error}") from error
