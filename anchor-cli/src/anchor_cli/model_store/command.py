"""The `anchor pull` command."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from service_kit.errors import AnchorError

from anchor_cli.console import load_settings_or_exit, print_failure
from anchor_cli.model_store.download import OnProgress
from anchor_cli.model_store.pull import ModelStore
from anchor_cli.settings import MeshSettings


def pull_command(
    names: Annotated[
        list[str] | None, typer.Argument(help="Profiles or model names; default: the current profile.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Only verify the local files.")] = False,
    trust_on_first_use: Annotated[
        bool, typer.Option("--trust-on-first-use", help="Accept files without a known hash, and pin the hash.")
    ] = False,
) -> None:
    """Fetch models, resume partial downloads, and verify each file's hash."""
    console = Console()
    settings = load_settings_or_exit(console)
    try:
        build_store(settings, console).pull(
            names or [settings.profile], offline=offline, trust_on_first_use=trust_on_first_use
        )
    except (AnchorError, OSError) as error:
        code, message = (error.code, error.message) if isinstance(error, AnchorError) else ("models.io", str(error))
        print_failure(console, code, message)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        console.print("stopped; the next pull resumes the partial file")
        raise typer.Exit(130) from None


def build_store(settings: MeshSettings, console: Console) -> ModelStore:
    """The model store for `settings`."""
    token = settings.models_hub_token.get_secret_value()
    return ModelStore(
        lock=settings.root / settings.models_lock,
        folder=settings.root / settings.models_dir,
        hub_url=settings.models_hub_url,
        # httpx drops the token on redirects to another host.
        client=lambda: httpx.Client(
            headers={"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {}),
            timeout=httpx.Timeout(30.0, connect=10.0),
            follow_redirects=True,
            max_redirects=5,
        ),
        progress=TerminalProgress(console),
    )


class TerminalProgress:
    """Prints one line per finished file and a progress bar for the current one. Implements `PullProgress`."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def print_line(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, highlight=False)

    @contextmanager
    def track_file(self, name: str) -> Generator[OnProgress]:
        """Show a progress bar for file `name`."""
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(TextColumn("{task.description}"), *columns, console=self._console, transient=True) as progress:
            task = progress.add_task(name, total=None)
            yield lambda here, total: progress.update(task, completed=here, total=total)
