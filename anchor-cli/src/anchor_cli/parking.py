"""`anchor park` and `anchor wake`: release and reload engines' GPU memory on demand."""

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

from anchor_cli.console import load_settings_or_exit, print_failure
from anchor_cli.settings import MeshSettings

# Waking a model may read it from disk.
_MOVE_TIMEOUT_S = 330.0


class EngineStatus(BaseModel):
    """State of one engine in the orchestrator's `/memory`."""

    state: str
    in_use: bool
    reason: str


class MemoryStatus(BaseModel):
    """Body of the orchestrator's `/memory`."""

    steps: list[str]
    engines: dict[str, EngineStatus]


class _Error(BaseModel):
    code: str
    message: str


class _Refusal(BaseModel):
    error: _Error


class EngineChoice(StrEnum):
    """Engines that can be selected."""

    LLM = "llm"
    TTS = "tts"
    STT = "stt"
    ALL = "all"


Which = Annotated[EngineChoice, typer.Argument(help="llm, tts, stt or all.")]


def park_command(engine: Which = EngineChoice.ALL) -> None:
    """Release engines' GPU memory; the next session or turn that needs a parked engine wakes it."""
    _run_command("park", engine)


def wake_command(engine: Which = EngineChoice.ALL) -> None:
    """Reload parked engines, and wait until they are ready."""
    _run_command("wake", engine)


def _run_command(move: str, engine: EngineChoice) -> None:
    console = Console()
    settings = load_settings_or_exit(console)
    try:
        failures = asyncio.run(_move_all(settings, console, move, engine))
    except AnchorError as error:
        print_failure(console, error.code, error.message)
        raise typer.Exit(1) from error
    for failure in failures:
        print_failure(console, failure.code, failure.message)
    if failures:
        raise typer.Exit(1)


async def _move_all(settings: MeshSettings, console: Console, move: str, engine: EngineChoice) -> list[AnchorError]:
    """Park or wake one engine or all movable ones; returns the failures. Raises `PeerFailed` without a mesh."""
    secret = settings.shared_secret.get_secret_value()
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    failures: list[AnchorError] = []
    async with httpx.AsyncClient(
        base_url=settings.address, headers=headers, timeout=_MOVE_TIMEOUT_S, trust_env=False
    ) as http:
        memory = await _request(http, "GET", "/memory")
        for name, status in memory.engines.items():
            if engine is EngineChoice.ALL and status.state == "fixed":
                continue
            if engine in (EngineChoice.ALL, name):
                try:
                    await _request(http, "POST", f"/memory/{name}/{move}")
                except AnchorError as error:
                    failures.append(PeerFailed(error.code, f"{name}: {error.message}"))
        memory = await _request(http, "GET", "/memory")
    console.print(_table(memory))
    return failures


async def _request(http: httpx.AsyncClient, method: str, path: str) -> MemoryStatus:
    try:
        response = await http.request(method, path)
        if response.is_success:
            return MemoryStatus.model_validate_json(response.content)
        refusal = _Refusal.model_validate_json(response.content).error
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise PeerFailed("mesh.not_running", f"no anchor responds at {http.base_url}: {reason}") from error
    except ValidationError as error:
        raise PeerFailed("mesh.not_running", f"the server at {http.base_url} is not an anchor") from error
    raise PeerFailed(refusal.code, refusal.message)


def _table(memory: MemoryStatus) -> Table:
    table = Table("engine", "memory", "", box=None, header_style="dim")
    for name, engine in memory.engines.items():
        note = engine.reason or ("in use" if engine.in_use else "")
        table.add_row(name, "has none to release" if engine.state == "fixed" else engine.state, note)
    for step in memory.steps:
        table.add_row("", f"degraded because of low memory: {step}", "")
    return table
