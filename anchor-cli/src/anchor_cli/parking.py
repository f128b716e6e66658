"""`anchor park` and `anchor wake`: the memory of the GPU, by hand."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Annotated

import httpx
import typer
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.table import Table
from service_kit.errors import AnchorError, PeerFailed

from anchor_cli.console import settings_or_exit, show_failure
from anchor_cli.settings import MeshSettings

# Waking a model may mean to read it from a disk.
_MOVES_WITHIN_S = 330.0


class EngineTold(BaseModel):
    """What the orchestrator says of one engine."""

    state: str
    in_use: bool
    reason: str


class MemoryTold(BaseModel):
    """What it says of the memory."""

    steps: list[str]
    engines: dict[str, EngineTold]


class _Error(BaseModel):
    code: str
    message: str


class _Refusal(BaseModel):
    error: _Error


class Engine(StrEnum):
    """What may be parked."""

    LLM = "llm"
    TTS = "tts"
    STT = "stt"
    ALL = "all"


Which = Annotated[Engine, typer.Argument(help="llm, tts, stt or all.")]


def park_command(engine: Which = Engine.ALL) -> None:
    """Give the GPU's memory back, until somebody needs it: the next session or turn wakes what is parked."""
    _command("park", engine)


def wake_command(engine: Which = Engine.ALL) -> None:
    """Take the GPU's memory again, and wait until the engines can work."""
    _command("wake", engine)


def _command(move: str, engine: Engine) -> None:
    console = Console()
    settings = settings_or_exit(console)
    try:
        failures = asyncio.run(_move_all(settings, console, move, engine))
    except AnchorError as error:
        show_failure(console, error.code, error.message)
        raise typer.Exit(1) from error
    for failure in failures:
        show_failure(console, failure.code, failure.message)
    if failures:
        raise typer.Exit(1)


async def _move_all(settings: MeshSettings, console: Console, move: str, engine: Engine) -> list[AnchorError]:
    """Move one engine, or all that can be moved; what did not work is returned. Raises `PeerFailed` without a mesh."""
    secret = settings.shared_secret.get_secret_value()
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    failures: list[AnchorError] = []
    async with httpx.AsyncClient(
        base_url=settings.address, headers=headers, timeout=_MOVES_WITHIN_S, trust_env=False
    ) as http:
        known = await _asked(http, "GET", "/memory")
        for name, told in known.engines.items():
            if engine is Engine.ALL and told.state == "fixed":
                continue
            if engine in (Engine.ALL, name):
                try:
                    await _asked(http, "POST", f"/memory/{name}/{move}")
                except AnchorError as error:
                    failures.append(PeerFailed(error.code, f"{name}: {error.message}"))
        known = await _asked(http, "GET", "/memory")
    console.print(_table(known))
    return failures


async def _asked(http: httpx.AsyncClient, method: str, path: str) -> MemoryTold:
    try:
        response = await http.request(method, path)
        if response.is_success:
            return MemoryTold.model_validate_json(response.content)
        refusal = _Refusal.model_validate_json(response.content).error
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise PeerFailed("mesh.not_running", f"no anchor answers at {http.base_url}: {reason}") from error
    except ValidationError as error:
        raise PeerFailed("mesh.not_running", f"what answers at {http.base_url} is no anchor") from error
    raise PeerFailed(refusal.code, refusal.message)


def _table(known: MemoryTold) -> Table:
    table = Table("engine", "memory", "", box=None, header_style="dim")
    for name, told in known.engines.items():
        note = told.reason or ("in use" if told.in_use else "")
        table.add_row(name, "holds none to give back" if told.state == "fixed" else told.state, note)
    for step in known.steps:
        table.add_row("", f"given up for want of memory: {step}", "")
    return table
