"""The command that writes the whole store to a file, and reads it back.

    python -m orchestrator.dump export FILE
    python -m orchestrator.dump import FILE

The database is that of `ORCHESTRATOR_STORE`; FILE `-` is a standard stream. The orchestrator must not run during an
import, which replaces everything. Exits with 1 and the reason on standard error when it fails, and with 3 when nothing
is stored (`off`).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO

from pydantic import ValidationError
from pydantic_settings import SettingsError
from service_kit.errors import AnchorError
from service_kit.setting_problems import setting_problems_line
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from orchestrator.settings import OrchestratorSettings
from orchestrator.store.transfer import export_store, import_store

NOTHING_STORED = 3


@contextmanager
def _opened(path: str, mode: str) -> Generator[IO[str]]:
    """The file at `path`, which only its owner may read; `-` is a standard stream."""
    if path == "-":
        yield sys.stdout if mode == "w" else sys.stdin
        return

    def private(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    with open(path, mode, encoding="utf-8", opener=private) as file:
        yield file


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit status."""
    match arguments:
        case ["export" | "import" as action, path]:
            pass
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return 2
    try:
        url = OrchestratorSettings().store.get_secret_value()
    except (ValidationError, SettingsError) as error:
        sys.stderr.write(f"{action} failed: {setting_problems_line(error)}\n")
        return 1
    if url == "off":
        sys.stderr.write("ORCHESTRATOR_STORE is off: nothing is stored\n")
        return NOTHING_STORED
    try:
        with _opened(path, "w" if action == "export" else "r") as file:
            rows = asyncio.run(export_store(url, file) if action == "export" else import_store(url, file))
    except (AnchorError, SQLAlchemyError, OSError) as error:
        # SQLAlchemy's own text has the statement with what was said in it.
        reason = error.orig if isinstance(error, DBAPIError) else error
        sys.stderr.write(f"{action} failed: {reason}\n")
        return 1
    sys.stderr.write(f"{action}ed {rows} rows\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
