"""`anchor keys`: adds, lists and removes the API keys in .env. The orchestrator reads them when it starts."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text
from service_kit.errors import InvalidRequest, NotFound
from service_kit.http.api_keys import ApiKey, Scope, new_api_key, parse_api_keys
from service_kit.observability.audit import AuditFile, SecurityEvent, audit_record
from service_kit.parsing.documents import parse_json

from anchor_cli.console import load_settings_or_exit, reported_failures
from anchor_cli.dotenv_file import read_env_text, read_value, set_variable
from anchor_cli.plan.env_file import write_env
from anchor_cli.settings import MeshSettings

VARIABLE = "ORCHESTRATOR_API_KEYS"

keys_app = typer.Typer(help="Give each client a key of its own, with scopes.", no_args_is_help=True)


@keys_app.command("add")
def add_command(
    name: Annotated[str, typer.Argument(help="Name of the key: letters, digits, . _ -")],
    scope: Annotated[list[Scope] | None, typer.Option(help="What the key allows; talk if none is given.")] = None,
    max_sessions: Annotated[int | None, typer.Option(min=1, max=9_999, help="Sessions that it may have open.")] = None,
    per_minute: Annotated[
        int | None, typer.Option(min=1, max=9_999, help="Requests that it may send a minute.")
    ] = None,
) -> None:
    """Add a key and print its token, which is shown once and stored nowhere."""
    console = Console()
    settings, path = _settings_and_env_file(console)
    with reported_failures(console):
        keys = _read_keys(path)
        if name in {key.name for key in keys}:
            raise InvalidRequest("keys.exists", f"there is a key {name}; remove it first, or choose another name")
        try:
            scopes = frozenset(scope or [Scope.TALK])
            token, key = new_api_key(name, scopes, max_sessions=max_sessions, per_minute=per_minute)
        except ValueError as error:
            raise InvalidRequest("keys.invalid", str(error)) from error
        _write_keys(path, (*keys, key))
    _record(console, settings, SecurityEvent.KEY_ADDED, key)
    console.print(Text.assemble(("token   ", "dim"), token), soft_wrap=True)
    console.print("Keep it: it is shown once. The orchestrator knows it after a restart.")


@keys_app.command("list")
def list_command() -> None:
    """List the keys with their scopes and limits."""
    console = Console()
    _, path = _settings_and_env_file(console)
    with reported_failures(console):
        for key in _read_keys(path):
            scopes = ", ".join(key.ordered_scopes)
            console.print(Text.assemble((f"{key.name:24}", "cyan"), scopes, (_limits(key), "dim")), soft_wrap=True)


@keys_app.command("remove")
def remove_command(name: Annotated[str, typer.Argument(help="Name of the key.")]) -> None:
    """Remove a key; it is refused after a restart of the orchestrator."""
    console = Console()
    settings, path = _settings_and_env_file(console)
    with reported_failures(console):
        keys = _read_keys(path)
        removed = next((key for key in keys if key.name == name), None)
        if removed is None:
            raise NotFound("keys.unknown", f"there is no key {name}")
        _write_keys(path, tuple(key for key in keys if key is not removed))
    _record(console, settings, SecurityEvent.KEY_REMOVED, removed)
    console.print(Text.assemble(("removed   ", "dim"), name))


def _limits(key: ApiKey) -> str:
    limits = ((key.max_sessions, "sessions"), (key.per_minute, "requests a minute"))
    return "".join(f", at most {limit} {name}" for limit, name in limits if limit is not None)


def _settings_and_env_file(console: Console) -> tuple[MeshSettings, Path]:
    settings = load_settings_or_exit(console)
    return settings, settings.root / ".env"


def _record(console: Console, settings: MeshSettings, event: SecurityEvent, key: ApiKey) -> None:
    """Add a change of the keys to the audit file, if there is one; a failure is printed, the change stays."""
    if settings.audit_file is None:
        return
    path = settings.root / settings.audit_file

    def report(error: BaseException | None) -> None:
        console.print(Text(f"The audit file {path} was not written: {error}", style="yellow"), soft_wrap=True)

    try:
        with closing(AuditFile(path, "anchor", report, rotates=False)) as file:
            file.handle(audit_record(event, key=key.name, scopes=key.ordered_scopes))
    except OSError as error:
        report(error)


def _read_keys(path: Path) -> tuple[ApiKey, ...]:
    """The keys in .env. Raises `InvalidRequest` when they cannot be read."""
    listed = read_value(read_env_text(path), VARIABLE) or "[]"
    try:
        return parse_api_keys(tuple(map(str, parse_json(listed))))
    except (ValueError, TypeError) as error:
        reason = "a list is written as JSON" if isinstance(error, json.JSONDecodeError | TypeError) else str(error)
        raise InvalidRequest("keys.unreadable", f"{VARIABLE} in {path}: {reason}") from error


def _write_keys(path: Path, keys: tuple[ApiKey, ...]) -> None:
    try:
        text = read_env_text(path)
        write_env(path, set_variable(text, VARIABLE, json.dumps([str(key) for key in keys], separators=(",", ":"))))
    except OSError as error:
        raise InvalidRequest("keys.unwritable", f"cannot write {path}: {error}") from error
