"""Progress of the start: a live table on a terminal, else one line per ready service."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from anchor_cli.mesh.readiness import FAILED, ServiceState, ShowStates

_STAGE_STYLES = {"ready": "green", "starting": "dim", "loading": "yellow", "failed": "red"}


@contextmanager
def show_start_progress(console: Console) -> Generator[ShowStates]:
    """Yield a function that displays the services' states."""
    if not console.is_terminal:
        yield _PlainProgress(console)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda states: live.update(service_table(states), refresh=True)


def service_table(states: Mapping[str, ServiceState]) -> Table:
    """A table with one row per service."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, state in states.items():
        after = f"{state.ready_after_s:.1f} s" if state.ready_after_s is not None else ""
        stage = Text(state.stage, _STAGE_STYLES.get(state.stage, "yellow"))
        table.add_row(name, stage, after, Text(" ".join(filter(None, (state.engine, state.model, state.reason)))))
    return table


class _PlainProgress:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed: set[str] = set()

    def __call__(self, states: Mapping[str, ServiceState]) -> None:
        for name, state in states.items():
            if name in self._printed:
                continue
            if state.ready_after_s is not None:
                engine = f" ({state.engine})" if state.engine else ""
                self._printed.add(name)
                self._console.print(Text(f"  {name} ready after {state.ready_after_s:.1f} s{engine}"))
            elif state.stage == FAILED and state.reason:
                self._printed.add(name)
                self._console.print(Text(f"  {name} does not run: {state.reason}", "red"))
