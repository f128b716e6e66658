"""The one display of a fetch: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import io
from threading import Thread

from anchor_cli.model_store.progress import Tally, TerminalProgress
from rich.console import Console


def test_lines_without_a_terminal_are_rare_and_plain() -> None:
    now, output = 0.0, io.StringIO()
    progress = TerminalProgress(Console(file=output, width=80), clock=lambda: now)
    with progress.track("models") as advance:
        for now in range(26):
            advance(now * 1_000_000, 25_000_000)
    assert output.getvalue().splitlines() == ["models: 10 of 25 MB", "models: 20 of 25 MB"]


def test_terminal_shows_one_bar() -> None:
    output = io.StringIO()
    progress = TerminalProgress(Console(file=output, width=100, force_terminal=True))
    with progress.track("models") as advance:
        advance(5_000_000, 10_000_000)
    assert "5.0/10.0 MB" in output.getvalue()


def test_text_in_brackets_is_printed_as_it_is() -> None:
    output = io.StringIO()
    TerminalProgress(Console(file=output, width=80)).print_line("big: left out ([Errno -2] no name)")
    assert output.getvalue() == "big: left out ([Errno -2] no name)\n"


def test_tally_adds_up_several_threads() -> None:
    shown: list[tuple[int, int]] = []
    tally = Tally(400, lambda here, total: shown.append((here, total)))

    def fetch(name: str) -> None:
        for here in range(0, 101, 10):
            tally.set(name, here)

    threads = [Thread(target=fetch, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shown[-1] == (400, 400)
    assert [here for here, _ in shown] == sorted(here for here, _ in shown)


def test_tally_never_exceeds_its_total() -> None:
    shown: list[tuple[int, int]] = []
    Tally(100, lambda here, total: shown.append((here, total))).set("a", 250)
    assert shown == [(100, 100)]
