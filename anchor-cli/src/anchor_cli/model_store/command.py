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

from anchor_cli.console import settings_or_exit, show_failure
from anchor_cli.model_store.download import Advance
from anchor_cli.model_store.pull import Store
from anchor_cli.settings import MeshSettings


def pull_command(
    wanted: Annotated[list[str] | None, typer.Argument(help="Profiles or models; none for this profile.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Only check what is here.")] = False,
    trust_on_first_use: Annotated[
        bool, typer.Option("--trust-on-first-use", help="Take files of unknown hash as they come, and pin them.")
    ] = False,
) -> None:
    """Fetch models, resuming what broke, and hold each file to its hash."""
    console = Console()
    settings = settings_or_exit(console)
    try:
        store(settings, console).pull(
            wanted or [settings.profile], offline=offline, trust_on_first_use=trust_on_first_use
        )
    except (AnchorError, OSError) as error:
        code, message = (error.code, error.message) if isinstance(error, AnchorError) else ("models.io", str(error))
        show_failure(console, code, message)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        console.print("stopped; what is here of a file is kept, and the next pull goes on from there")
        raise typer.Exit(130) from None


def store(settings: MeshSettings, console: Console) -> Store:
    """The store that `settings` describe."""
    token = settings.models_hub_token.get_secret_value()
    return Store(
        lock=settings.root / settings.models_lock,
        folder=settings.root / settings.models_dir,
        hub_url=settings.models_hub_url,
        # The token is the hub's: httpx drops it when it is sent to another host.
        client=lambda: httpx.Client(
            headers={"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {}),
            timeout=httpx.Timeout(30.0, connect=10.0),
            follow_redirects=True,
            max_redirects=5,
        ),
        view=PullView(console),
    )


class PullView:
    """A line per file that is settled, a bar for the one under way. Implements `View`."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, highlight=False)

    @contextmanager
    def file(self, name: str) -> Generator[Advance]:
        """Show how far the file of this name is."""
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(TextColumn("{task.description}"), *columns, console=self._console, transient=True) as progress:
            task = progress.add_task(name, total=None)
            yield lambda here, total: progress.update(task, completed=here, total=total)
