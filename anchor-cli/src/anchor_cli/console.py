"""How things are shown at the terminal."""

from __future__ import annotations

from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console, Group, RenderableType
from rich.text import Text

from anchor_cli.client.turn import Turn
from anchor_cli.client.waterfall import budget_ms, draw
from anchor_cli.mesh.log import LogLine
from anchor_cli.settings import MeshSettings


def log_line(line: LogLine) -> Text:
    """A warning or an error of the mesh, in one line."""
    style = "yellow" if line.level == "warning" else "red"
    fields = " ".join(f"{name}={value}" for name, value in line.fields.items() if name != "exception")
    return Text.assemble((f"{line.level} ", style), (f"{line.service} ", "bold"), f"{line.message} {fields}".rstrip())


def turn_report(turn: Turn) -> RenderableType:
    """What was heard, what was answered, and what it took."""
    parts: list[RenderableType] = [
        Text.assemble(("heard     ", "dim"), turn.heard or "(no words)"),
        Text.assemble(("answered  ", "dim"), turn.reply.text.strip(), (f"  [{turn.engine}]", "dim")),
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
    parts.append(draw(turn.waterfall) if turn.waterfall is not None else Text("the server told no waterfall", "yellow"))
    return Group(*parts)


def show_failure(console: Console, code: str, message: str) -> None:
    """Why a command ends without success."""
    console.print(Text.assemble(("failed: ", "red"), message, (f"  [{code}]", "dim")), soft_wrap=True)


def settings_or_exit(console: Console, **options: Any) -> MeshSettings:
    """The settings of the environment with these options; ends the command with 2, saying why, when they do not fit."""
    try:
        return MeshSettings(**options)
    except ValidationError as error:
        for problem in error.errors():
            show_failure(console, "settings.invalid", f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}")
        raise typer.Exit(2) from error
