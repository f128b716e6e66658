"""`anchor plan`: divides a card's memory among the services, prints the plan, and writes the settings."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console
from service_kit.addresses import authority
from service_kit.errors import AnchorError

from anchor_cli.console import print_failure
from anchor_cli.dotenv_file import read_env_text
from anchor_cli.plan.budget import Card
from anchor_cli.plan.catalogue import Catalogue, read_catalogue
from anchor_cli.plan.detection import GpuProbe, detect_card, gpu_monitor_probe, match_card, nvidia_smi_probe
from anchor_cli.plan.env_file import (
    PLAN_PATH,
    VOXTRAL_PROFILE,
    merge_env,
    plan_settings,
    render_profile,
    runs_voxtral,
    write_env,
)
from anchor_cli.plan.ladder import MemoryPlan, Planner
from anchor_cli.plan.overrides import build_planner
from anchor_cli.plan.report import plan_as_json, render_plan
from anchor_cli.settings import MeshSettings


def plan_command(
    gpu: Annotated[str, typer.Option(help="rtx6000-ada, a6000, l40s, rtx5090, rtx4090, t4 or detect.")] = "detect",
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="service=model[@weights], such as llm=llama-8b@Q5_K_M, or service=FILE (config.json or .gguf)."
        ),
    ] = None,
    context: Annotated[int | None, typer.Option(min=512, help="Context of the language model, in tokens.")] = None,
    reserve_gib: Annotated[float | None, typer.Option(min=0, max=64, help="Memory to leave free, in GiB.")] = None,
    as_json_: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    as_env: Annotated[bool, typer.Option("--env", help="Print only the settings, in .env format.")] = False,
    write: Annotated[Path | None, typer.Option(help="The .env file to write the settings to.")] = None,
) -> None:
    """Divide a GPU's memory among the models, and list the reductions needed to fit."""
    # With --json and --env, standard output carries only that format.
    notes = Console(stderr=as_json_ or as_env)
    try:
        catalogue = read_catalogue()
        card = select_card(gpu, catalogue, notes)
        if reserve_gib is not None:
            card = replace(card, reserve_gib=reserve_gib)
        planner = build_planner(catalogue, model or [], context)
        plan = planner.plan(card)
        if as_json_:
            typer.echo(json.dumps(plan_as_json(plan, plan_settings(plan, planner.models)), indent=2))
        elif as_env and plan.fits:
            typer.echo(render_profile(plan, planner.models), nl=False)
        else:
            notes.print(render_plan(plan, planner.models, plan_settings(plan, planner.models)), crop=False)
        if plan.fits and write is not None:
            write_plan(write, plan, planner)
    except AnchorError as error:
        print_failure(notes, error.code, error.message)
        raise typer.Exit(1) from error
    if not plan.fits:
        raise typer.Exit(1)


def select_card(gpu: str, catalogue: Catalogue, notes: Console) -> Card:
    """The named or detected card. Raises `NotFound` (`plan.unknown_card`, `plan.no_gpu`)."""
    if gpu != "detect":
        return catalogue.card(gpu)
    detected = asyncio.run(detect_card(_gpu_probes()))
    if detected.used_mib:
        notes.print(f"{detected.used_mib / 1024:.1f} GiB are in use now; the plan counts them as free.")
    return match_card(detected, catalogue.cards)


def write_plan(path: Path, plan: MemoryPlan, planner: Planner) -> None:
    """Write the settings to the .env file at `path`, and the plan as JSON to `PLAN_PATH` beside it.

    Raises `InvalidRequest` for a .env that cannot be read.
    """
    settings = plan_settings(plan, planner.models)
    # First, since it refuses what it cannot read.
    text = merge_env(read_env_text(path), settings, VOXTRAL_PROFILE, runs_voxtral(plan, planner.models))
    planned = path.parent / PLAN_PATH
    planned.parent.mkdir(parents=True, exist_ok=True)
    planned.write_text(json.dumps(plan_as_json(plan, settings), indent=2) + "\n", "utf-8")
    write_env(path, text)


def _gpu_probes() -> list[GpuProbe]:
    try:
        settings = MeshSettings()
    except (ValidationError, SettingsError):
        # `anchor up` reports invalid settings; nvidia-smi needs none.
        return [nvidia_smi_probe()]
    return [gpu_monitor_probe(authority(settings.internal_connect_host, settings.gpu_grpc_port)), nvidia_smi_probe()]
