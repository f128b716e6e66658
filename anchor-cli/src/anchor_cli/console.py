"""Rendering for the terminal."""

from __future__ import annotations

from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console, Group, RenderableType
from rich.text import Text

from anchor_cli.client.turn import TurnResult
from anchor_cli.client.waterfall import budget_ms, render_waterfall
from anchor_cli.mesh.log import LogLine
from anchor_cli.settings import MeshSettings


def render_log_line(line: LogLine) -> Text:
    """One line for a warning or an error of the mesh."""
    style = "yellow" if line.level == "warning" else "red"
    fields = " ".join(f"{name}={value}" for name, value in line.fields.items() if name != "exception")
    return Text.assemble((f"{line.level} ", style), (f"{line.service} ", "bold"), f"{line.message} {fields}".rstrip())


def render_turn(turn: TurnResult) -> RenderableType:
    """Transcript, reply, response latency and latency waterfall of a turn."""
    parts: list[RenderableType] = [
        Text.assemble(("you       ", "dim"), turn.transcript or "(no words)"),
        Text.assemble(("anchor    ", "dim"), turn.reply.text.strip(), (f"  [{turn.engine}]", "dim")),
    ]
    style = "green" if turn.response_ms <= budget_ms(turn.waterfall) else "red"
    sound = f"{turn.reply.received_ms / 1000:.1f} s of speech"
    parts.append(
        Text.assemble(
            ("latency   ", "dim"),
            (f"{turn.response_ms:.0f} ms", style),
            f" from the last voiced sample sent to the first frame received; {sound}",
        )
    )
    parts.append(
        render_waterfall(turn.waterfall)
        if turn.waterfall is not None
        else Text("the server sent no waterfall", "yellow")
    )
    return Group(*parts)


def print_failure(console: Console, code: str, message: str) -> None:
    """Print the reason for a failed command."""
    console.print(Text.assemble(("failed: ", "red"), message, (f"  [{code}]", "dim")), soft_wrap=True)


def load_settings_or_exit(console: Console, **options: Any) -> MeshSettings:
    """Settings of the environment, overridden by `options`. Prints invalid settings and exits with 2."""
    try:
        return MeshSettings(**options)
    except ValidationError as error:
        for problem in error.errors():
            print_failure(console, "settings.invalid", f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}")
        raise typer.Exit(2) from error
