"""Progress of the start at the terminal."""

from __future__ import annotations

import pytest
from anchor_cli.mesh.readiness import ServiceState
from anchor_cli.mesh.start_progress import show_start_progress
from rich.console import Console


@pytest.mark.parametrize("terminal", [True, False])
def test_ready_services_are_shown(terminal: bool) -> None:
    console = Console(width=100, force_terminal=terminal, record=True)
    with show_start_progress(console) as show:
        show({"stt": ServiceState()})
        show({"stt": ServiceState("ready", "pocketsphinx", "en-us", "", 2.5)})
        show({"stt": ServiceState("ready", "pocketsphinx", "en-us", "", 2.5)})
    text = console.export_text()
    assert "2.5 s" in text
    assert "pocketsphinx" in text
