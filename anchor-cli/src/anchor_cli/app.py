"""The `anchor` command line: commands, options and exit codes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from service_kit.settings import Profile

from anchor_cli.backup.command import backup_command, restore_command
from anchor_cli.client.demo import run_demo
from anchor_cli.console import load_settings_or_exit, reported_failures
from anchor_cli.doctor.command import doctor_command, measure_first_start
from anchor_cli.doctor.project_checks import require_valid_settings
from anchor_cli.keys import keys_app
from anchor_cli.mesh.command import run_mesh
from anchor_cli.mesh.mesh import require_startable
from anchor_cli.mesh.programs import mesh_programs
from anchor_cli.model_store.command import models_command, pull_command
from anchor_cli.parking import park_command, wake_command
from anchor_cli.plan.command import plan_command
from anchor_cli.verification.command import verify_gpu_command
from anchor_cli.voices import voice_app

app = typer.Typer(
    help="A self-hosted voice anchor: start it, talk to it, manage its models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command("plan")(plan_command)
app.command("models")(models_command)
app.command("pull")(pull_command)
app.command("doctor")(doctor_command)
app.command("park")(park_command)
app.command("wake")(wake_command)
app.command("verify-gpu")(verify_gpu_command)
app.command("backup")(backup_command)
app.command("restore")(restore_command)
app.add_typer(voice_app, name="voice")
app.add_typer(keys_app, name="keys")


@app.command("up")
def up_command(
    self_test: Annotated[bool, typer.Option(help="Run one turn with recorded speech before serving.")] = True,
    profile: Annotated[str, typer.Option(help="embedded, cpu or gpu.", envvar="ANCHOR_PROFILE")] = "embedded",
    script: Annotated[Path | None, typer.Option(help="Script of the scripted engines.", envvar="ANCHOR_SCRIPT")] = None,
) -> None:
    """Start all services, run a self-test turn, and serve until Ctrl-C."""
    console = Console()
    settings = load_settings_or_exit(console, profile=cast("Profile", profile), script=script)
    with reported_failures(console):
        require_valid_settings()
        require_startable(settings, mesh_programs(settings))
        measure_first_start(console, settings)
    _run(console, run_mesh(settings, console, self_test=self_test))


@app.command("demo")
def demo_command(
    wav: Annotated[Path, typer.Argument(help="The recorded question: WAV, FLAC or OGG.")],
    reply: Annotated[Path, typer.Option(help="WAV file for the reply's speech.")] = Path("reply.wav"),
    language: Annotated[str, typer.Option(help="Language of the question, such as de.")] = "auto",
) -> None:
    """Stream a recording into the running mesh and print the conversation."""
    console = Console()
    _run(console, run_demo(load_settings_or_exit(console), console, wav, reply, language))


def _run(console: Console, work: Coroutine[Any, Any, None]) -> None:
    with reported_failures(console):
        asyncio.run(work)
