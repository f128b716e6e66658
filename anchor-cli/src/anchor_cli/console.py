"""Settings and failures of commands, for the terminal."""

from __future__ import annotations

from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from anchor_cli.settings import MeshSettings


def print_failure(console: Console, code: str, message: str) -> None:
    """Print the reason for a failed command."""
    console.print(Text.assemble(("failed: ", "red"), message, (f"  [{code}]", "dim")), soft_wrap=True)


def load_settings_or_exit(console: Console, **options: Any) -> MeshSettings:
    """Settings of the environment, overridden by `options`. Prints invalid settings and exits with 2."""
    try:
        return MeshSettings(**options)
    except ValidationError as error:
        for problem in error.errors():
            print_failure(console, "settings.invalid", f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}")
        raise typer.Exit(2) from error
