"""`anchor park` and `anchor wake`: release and reload engines' GPU memory on demand."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from service_kit.errors import AnchorError, PeerFailed

from anchor_cli.client.rest_client import open_rest_client, request_bytes, request_model
from anchor_cli.console import load_settings_or_exit, print_failure
from anchor_cli.settings import MeshSettings


class EngineStatus(BaseModel):
    """State of one engine in the orchestrator's `/memory`."""

    state: str
    in_use: bool
    reason: str


class MemoryStatus(BaseModel):
    """Body of the orchestrator's `/memory`."""

    steps: list[str]
    engines: dict[str, EngineStatus]


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
    failures: list[AnchorError] = []
    async with open_rest_client(settings) as http:
        memory = await request_model(http, MemoryStatus, "GET", "/memory")
        for name, status in memory.engines.items():
            if engine is EngineChoice.ALL and status.state == "fixed":
                continue
            if engine in (EngineChoice.ALL, name):
                try:
                    await request_bytes(http, "POST", f"/memory/{name}/{move}")
                except AnchorError as error:
                    failures.append(PeerFailed(error.code, f"{name}: {error.message}"))
        memory = await request_model(http, MemoryStatus, "GET", "/memory")
    console.print(_table(memory))
    return failures


def _table(memory: MemoryStatus) -> Table:
    table = Table("engine", "memory", "", box=None, header_style="dim")
    for name, engine in memory.engines.items():
        note = engine.reason or ("in use" if engine.in_use else "")
        table.add_row(name, "has none to release" if engine.state == "fixed" else engine.state, note)
    for step in memory.steps:
        table.add_row("", f"degraded because of low memory: {step}", "")
    return table
