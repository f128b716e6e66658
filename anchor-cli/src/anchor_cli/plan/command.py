"""`anchor plan`: shares out a card's memory, tells how, and writes the settings."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from service_kit.errors import AnchorError

from anchor_cli.console import show_failure
from anchor_cli.plan.budget import Card
from anchor_cli.plan.catalogue import Catalogue, read_catalogue
from anchor_cli.plan.detection import Witness, card_of, detect, gpu_monitor, nvidia_smi
from anchor_cli.plan.env_file import (
    PLAN_PATH,
    VOXTRAL_PROFILE,
    merged,
    profile_text,
    runs_voxtral,
    settings_of,
    write_env,
)
from anchor_cli.plan.ladder import Plan, Planner
from anchor_cli.plan.overrides import planner_for
from anchor_cli.plan.report import as_json, report
from anchor_cli.settings import MeshSettings


def plan_command(
    gpu: Annotated[str, typer.Option(help="rtx6000-ada, a6000, l40s, rtx5090, rtx4090, t4 or detect.")] = "detect",
    model: Annotated[
        list[str] | None,
        typer.Option(help="service=model[@weights], such as llm=llama-8b@Q5_K_M, or =config.json, =model.gguf."),
    ] = None,
    context: Annotated[int | None, typer.Option(min=512, help="Context of the language model, in tokens.")] = None,
    reserve_gib: Annotated[float | None, typer.Option(min=0, max=64, help="What stays free, in GiB.")] = None,
    as_json_: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    as_env: Annotated[bool, typer.Option("--env", help="Print the settings alone, as a .env has them.")] = False,
    write: Annotated[Path | None, typer.Option(help="The .env that gets the settings.")] = None,
) -> None:
    """Share out a GPU's memory among the models, and say what must be given up."""
    # What is printed for programs stands alone on the standard output.
    notes = Console(stderr=as_json_ or as_env)
    try:
        catalogue = read_catalogue()
        card = chosen_card(gpu, catalogue, notes)
        if reserve_gib is not None:
            card = replace(card, reserve_gib=reserve_gib)
        planner = planner_for(catalogue, model or [], context)
        plan = planner.plan(card)
        if as_json_:
            typer.echo(json.dumps(as_json(plan, settings_of(plan, planner.models)), indent=2))
        elif as_env and plan.fits:
            typer.echo(profile_text(plan, planner.models), nl=False)
        else:
            notes.print(report(plan, planner.models, settings_of(plan, planner.models)), crop=False)
        if plan.fits and write is not None:
            write_plan(write, plan, planner)
    except AnchorError as error:
        show_failure(notes, error.code, error.message)
        raise typer.Exit(1) from error
    if not plan.fits:
        raise typer.Exit(1)


def chosen_card(gpu: str, catalogue: Catalogue, notes: Console) -> Card:
    """The card that is named, or found. Raises `NotFound` (`plan.unknown_card`, `plan.no_gpu`)."""
    if gpu != "detect":
        return catalogue.card(gpu)
    seen = asyncio.run(detect(_witnesses()))
    if seen.used_mib:
        notes.print(f"{seen.used_mib / 1024:.1f} GiB are in use right now; the plan counts them as free.")
    return card_of(seen, catalogue.cards)


def write_plan(path: Path, plan: Plan, planner: Planner) -> None:
    """Put the settings into the .env at `path`, and the plan where GPU_PLAN_PATH says, beside it."""
    settings = settings_of(plan, planner.models)
    planned = path.parent / PLAN_PATH
    planned.parent.mkdir(parents=True, exist_ok=True)
    planned.write_text(json.dumps(as_json(plan, settings), indent=2) + "\n", "utf-8")
    text = path.read_text("utf-8") if path.exists() else ""
    write_env(path, merged(text, settings, VOXTRAL_PROFILE, runs_voxtral(plan, planner.models)))


def _witnesses() -> list[Witness]:
    try:
        settings = MeshSettings()
    except ValidationError:
        # `anchor up` tells what is wrong with them; a card can be found without.
        return [nvidia_smi()]
    return [gpu_monitor(f"{settings.peer_host}:{settings.gpu_grpc_port}"), nvidia_smi()]
