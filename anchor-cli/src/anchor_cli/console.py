"""Settings and failures of commands, for the terminal."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console
from rich.text import Text
from service_kit.errors import AnchorError, root_cause
from service_kit.setting_problems import describe_setting_problems

from anchor_cli.settings import MeshSettings


def print_failure(console: Console, code: str, message: str) -> None:
    """Print the reason for a failed command."""
    console.print(Text.assemble(("failed: ", "red"), message, (f"  [{code}]", "dim")), soft_wrap=True)


def load_settings_or_exit(console: Console, **options: Any) -> MeshSettings:
    """Settings of the environment, overridden by `options`. Prints invalid settings and exits with 2."""
    try:
        return MeshSettings(**options)
    except (ValidationError, SettingsError) as error:
        for name, reason in describe_setting_problems(error).items():
            print_failure(console, "settings.invalid", f"{name}: {reason}")
        raise typer.Exit(2) from error


@contextmanager
def reported_failures(console: Console) -> Generator[None]:
    """Print the reason when the work within fails, and exit."""
    try:
        yield
    except Exception as error:
        cause = root_cause(error)
        if not isinstance(cause, AnchorError):
            raise
        print_failure(console, cause.code, cause.message)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        # Ctrl-C during a command; `up` handles its signals itself.
        raise typer.Exit(130) from None
