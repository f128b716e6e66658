"""How a pull looks at the terminal."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from anchor_cli.model_store.download import Advance


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
