"""One display of a fetch's progress: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from anchor_cli.model_store.download import OnProgress

# Between two plain lines.
_LINE_EVERY_S = 10.0


class StoreProgress(Protocol):
    """Displays the progress of the model store."""

    def print_line(self, line: str) -> None: ...

    def track(self, name: str) -> AbstractContextManager[OnProgress]:
        """Show the progress of `name` for the duration of the context."""
        ...


class TerminalProgress:
    """Prints lines, and a bar for what is being fetched, or a line now and then without a terminal."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock

    def print_line(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)

    @contextmanager
    def track(self, name: str) -> Generator[OnProgress]:
        """Show the progress of `name`."""
        if not self._console.is_terminal:
            yield self._plain(name)
            return
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(TextColumn("{task.description}"), *columns, console=self._console, transient=True) as progress:
            task = progress.add_task(name, total=None)
            yield lambda here, total: progress.update(task, completed=here, total=total)

    def _plain(self, name: str) -> OnProgress:
        said = self._clock()

        def advance(here: int, total: int) -> None:
            nonlocal said
            if self._clock() - said >= _LINE_EVERY_S:
                said = self._clock()
                self.print_line(f"{name}: {here / 1e6:.0f} of {total / 1e6:.0f} MB")

        return advance


class Tally:
    """Adds up the progress of several downloads, from several threads, into one display."""

    def __init__(self, total: int, advance: OnProgress) -> None:
        self._total = total
        self._advance = advance
        self._here: dict[str, int] = {}
        self._lock = Lock()

    def set(self, name: str, here: int) -> None:
        """Note the bytes of one download."""
        with self._lock:
            self._here[name] = here
            self._advance(min(sum(self._here.values()), self._total), self._total)
