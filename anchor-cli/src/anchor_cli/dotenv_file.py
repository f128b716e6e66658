"""The file .env: read into the environment, and changed in place without a change to anything else in it.

It is written by people and by programs, so anything may stand in it; only python-dotenv's own parser knows where a
value ends, which may be lines later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path

from dotenv import load_dotenv
from dotenv.parser import Binding, parse_stream
from service_kit.errors import InvalidRequest


def read_env_text(path: Path) -> str:
    """The text of the file, empty where there is none. Raises `InvalidRequest` when it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8") if path.exists() else ""
    except OSError as error:
        raise InvalidRequest("settings.env_file", f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InvalidRequest("settings.env_file", f"{path}, line {line}: the text is not UTF-8") from error


def load_env_file(path: Path) -> None:
    """Set the variables of the file that the environment lacks. Raises `InvalidRequest` when it cannot be used."""
    text = read_env_text(path)
    try:
        load_dotenv(stream=StringIO(text), override=False)
    except (OSError, ValueError) as error:
        reason = "a name or a value that no variable can have, such as a zero byte"
        raise InvalidRequest("settings.env_file", f"{path} holds {reason}") from error


def read_value(text: str, name: str) -> str | None:
    """The value of a variable in the text of a .env file, as programs read it: the last one; None without one.

    A name without `=` is a last one without a value.
    """
    values = [each.value for each in _bindings(text) if each.key == name]
    return values[-1] if values else None


def replace_values(text: str, values: Mapping[str, str]) -> tuple[str, list[str]]:
    """Set the variables that the text has, each in the place of its first line; its further lines are removed.

    Returns the new text and the names that it lacks. All other lines stay as they are. Raises `InvalidRequest` for a
    text with a line that is neither a setting nor a comment: what is written below it could become part of its value.
    """
    pieces: list[str] = []
    written: set[str] = set()
    for binding in _bindings(text):
        if binding.error:
            reason = f".env, line {binding.original.line}: this is no NAME=value; correct it first"
            raise InvalidRequest("settings.env_file", reason)
        original, name = binding.original.string, binding.key
        if name is None or name not in values:
            pieces.append(original)
            continue
        # The empty lines before it are part of a binding.
        blank = original[: len(original) - len(original.lstrip())]
        pieces.append(blank[: blank.rfind("\n") + 1])
        if name not in written:
            written.add(name)
            pieces.append(f"{name}={values[name]}\n")
    replaced = "".join(pieces)
    if replaced and not replaced.endswith("\n"):
        replaced += "\n"
    return replaced, [name for name in values if name not in written]


def set_variable(text: str, name: str, value: str) -> str:
    """Set one variable in the text of a .env file: in its place, or at the end. Raises `InvalidRequest`."""
    replaced, missing = replace_values(text, {name: value})
    return replaced + (f"{name}={value}\n" if missing else "")


def _bindings(text: str) -> Iterator[Binding]:
    return parse_stream(StringIO(text))
