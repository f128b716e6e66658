"""Loads the personas folder: one TOML file per persona, named by the persona's id.

    name = "Nora"
    description = "Presents the news."
    instructions = "You are Nora, ..."
    [voices]
    en = "rms"
    [phrases.en]
    greeting = "Hello, I am {name}."

The persona `anchor` must have every phrase in every language it speaks, but for `OPTIONAL_PHRASES`; other personas
inherit missing phrases from it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from service_kit.errors import InvalidRequest
from service_kit.parsing.documents import parse_toml
from service_kit.safe_text import escape_control

from orchestrator.conversation.model.ports import Persona

DEFAULT_PERSONA = "anchor"

# Every phrase of a persona, and the placeholders that are filled when it is spoken. `{name}` is filled on loading.
PERSONA_PHRASES: Mapping[str, frozenset[str]] = {
    "greeting": frozenset(),
    "did_not_catch": frozenset(),
    "apology": frozenset(),
    "nothing_known": frozenset(),
    # Before an answer in another language than the question's.
    "other_language": frozenset({"language"}),
    "fallback": frozenset(),
    "topics": frozenset({"topics"}),
    "or": frozenset(),
    "news": frozenset({"title"}),
    "guide": frozenset({"title"}),
    "note": frozenset({"title"}),
    "who_are_you": frozenset(),
    "what_can_you_do": frozenset(),
    "time_is": frozenset({"time"}),
    "date_is": frozenset({"date"}),
    "thanks": frozenset(),
    "goodbye": frozenset(),
    "nothing_more": frozenset(),
    "nothing_to_repeat": frozenset(),
}


# Phrases that a persona may leave out: what stands for a block of code (nothing without it), and what bridges the wait
# for the first words.
OPTIONAL_PHRASES = frozenset({"code", "one_moment"})
# As it is filled: a format or a conversion in it would be spoken.
_PLACEHOLDER = re.compile(r"\{(\w*)\}")
# Of a key in an error message; the longest of ours has 24.
_MAX_KEY_CHARS = 80


class _PersonaFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(min_length=1)
    description: str = ""
    instructions: str = Field(min_length=1)
    voices: dict[str, str] = Field(default_factory=dict[str, str])
    phrases: dict[str, dict[str, str]] = Field(default_factory=dict[str, dict[str, str]])


def load_personas(folder: Path) -> dict[str, Persona]:
    """Load the personas in `folder`, by id. Raises `InvalidRequest` with file and key when one is invalid."""
    paths = sorted(folder.glob("*.toml"))
    read = {path.stem: _read(path) for path in paths}
    if DEFAULT_PERSONA not in read:
        raise InvalidRequest("persona.missing", f"{folder}: {DEFAULT_PERSONA}.toml is missing")
    _check_complete(folder / f"{DEFAULT_PERSONA}.toml", read[DEFAULT_PERSONA].phrases)
    return {path.stem: _persona(path, read[path.stem], read[DEFAULT_PERSONA].phrases) for path in paths}


def _read(path: Path) -> _PersonaFile:
    try:
        return _PersonaFile.model_validate(parse_toml(path.read_text("utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        raise _invalid(path, ".".join(map(str, first["loc"])), first["msg"]) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidRequest("persona.invalid", f"{path.name}: {error}") from error


def _persona(path: Path, file: _PersonaFile, inherited: Mapping[str, Mapping[str, str]]) -> Persona:
    for language, phrases in file.phrases.items():
        for key, text in phrases.items():
            _check_phrase(path, f"phrases.{language}.{key}", key, text)
    languages = sorted({*inherited, *file.phrases})
    return Persona(
        id=path.stem,
        name=file.name,
        description=file.description,
        instructions=file.instructions.strip(),
        voices=file.voices,
        phrases={
            language: {
                key: text.replace("{name}", file.name)
                for key, text in {**inherited.get(language, {}), **file.phrases.get(language, {})}.items()
            }
            for language in languages
        },
    )


def _check_complete(path: Path, phrases: Mapping[str, Mapping[str, str]]) -> None:
    if "en" not in phrases:
        raise _invalid(path, "phrases.en", "is missing")
    for language, texts in phrases.items():
        if missing := sorted(PERSONA_PHRASES.keys() - texts.keys()):
            raise _invalid(path, f"phrases.{language}.{missing[0]}", "is missing")


def _check_phrase(path: Path, where: str, key: str, text: str) -> None:
    if key not in PERSONA_PHRASES.keys() | OPTIONAL_PHRASES:
        raise _invalid(path, where, f"is not one of {', '.join(sorted(PERSONA_PHRASES.keys() | OPTIONAL_PHRASES))}")
    if set("{}") & set(_PLACEHOLDER.sub("", text)):
        raise _invalid(path, where, "has a brace that belongs to no placeholder")
    placeholders = frozenset(_PLACEHOLDER.findall(text)) - {"name"}
    if placeholders != (allowed := PERSONA_PHRASES.get(key, frozenset())):
        expected = ", ".join(f"{{{name}}}" for name in sorted(allowed)) or "none"
        raise _invalid(path, where, f"has the wrong placeholders; expected: {expected}")


def _invalid(path: Path, key: str, problem: str) -> InvalidRequest:
    return InvalidRequest("persona.invalid", f"{path.name}, {escape_control(key[:_MAX_KEY_CHARS])}: {problem}")
