"""The `anchor` command: its options, its exit codes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from service_kit.engines.models import fetch_models
from service_kit.errors import AnchorError, root_cause
from service_kit.settings import Profile

from anchor_cli.client.demo import demo
from anchor_cli.console import settings_or_exit, show_failure
from anchor_cli.doctor.command import doctor_command
from anchor_cli.mesh.command import up
from anchor_cli.model_store.command import pull_command
from anchor_cli.parking import park_command, wake_command
from anchor_cli.plan.command import plan_command

app = typer.Typer(
    help="A self-hosted voice anchor: start it, talk to it, look after its models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command("plan")(plan_command)
app.command("pull")(pull_command)
app.command("doctor")(doctor_command)
app.command("park")(park_command)
app.command("wake")(wake_command)


@app.command("up")
def up_command(
    self_test: Annotated[bool, typer.Option(help="Hold a turn in real speech before serving.")] = True,
    profile: Annotated[str, typer.Option(help="embedded, cpu or gpu.", envvar="ANCHOR_PROFILE")] = "embedded",
    script: Annotated[Path | None, typer.Option(help="Script of the scripted engines.", envvar="ANCHOR_SCRIPT")] = None,
) -> None:
    """Start all services, hold a self-test turn, serve until Ctrl-C."""
    console = Console()
    settings = settings_or_exit(console, profile=cast("Profile", profile), script=script)
    _run(console, up(settings, console, self_test=self_test))


@app.command("demo")
def demo_command(
    wav: Annotated[Path, typer.Argument(help="A question: WAV, FLAC or OGG.")],
    reply: Annotated[Path, typer.Option(help="Where the reply's speech is written.")] = Path("reply.wav"),
    language: Annotated[str, typer.Option(help="Language of the question, such as de.")] = "",
) -> None:
    """Play a recording into the running mesh as a microphone would."""
    console = Console()
    _run(console, demo(settings_or_exit(console), console, wav, reply, language))


@app.command("models")
def models_command() -> None:
    """Fetch what models.lock names; what is there and verified stays."""
    console = Console()
    settings = settings_or_exit(console)
    try:
        fetch_models(settings.root / settings.models_lock, settings.root / settings.models_dir, console.print)
    except AnchorError as error:
        show_failure(console, error.code, error.message)
        raise typer.Exit(1) from error


def _run(console: Console, work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except Exception as error:
        cause = root_cause(error)
        if not isinstance(cause, AnchorError):
            raise
        show_failure(console, cause.code, cause.message)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        # The demo was told to stop; `up` sees to its signals itself.
        raise typer.Exit(130) from None
