"""JSON and TOML of others: whatever is wrong with a document, its parser raises one error.

The parsers of the standard library also raise `RecursionError` for values nested too deeply, and a bare `ValueError`
for a number with thousands of digits.
"""

from __future__ import annotations

import json
import tomllib
from typing import Any


class _TomlUnreadable(tomllib.TOMLDecodeError):
    """With a message only; from Python 3.14 on, the base class wants the position too."""

    def __init__(self, message: str) -> None:
        ValueError.__init__(self, message)


def parse_json(document: str | bytes) -> Any:
    """Return the value of a JSON document. Raises `json.JSONDecodeError`, a `ValueError`."""
    try:
        return json.loads(document)
    except json.JSONDecodeError:
        raise
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError("The text is not UTF-8", "", 0) from error
    except RecursionError as error:
        raise json.JSONDecodeError("Nested too deeply", "", 0) from error
    except ValueError as error:
        raise json.JSONDecodeError("A number has too many digits", "", 0) from error


def parse_toml(document: str) -> dict[str, Any]:
    """Return the table of a TOML document. Raises `tomllib.TOMLDecodeError`, a `ValueError`."""
    try:
        return tomllib.loads(document)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError as error:
        raise _TomlUnreadable("Nested too deeply") from error
    except ValueError as error:
        raise _TomlUnreadable("A number or a date is out of range") from error
