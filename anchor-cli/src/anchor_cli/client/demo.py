"""`anchor demo`: streams a recording into the running mesh and prints the conversation."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.console import Console
from rich.text import Text

from anchor_cli.client.audio_files import load_clip, save_speech
from anchor_cli.client.session_client import SessionClient, open_session
from anchor_cli.client.turn import run_turn
from anchor_cli.client.waterfall import render_turn
from anchor_cli.settings import MeshSettings


async def run_demo(settings: MeshSettings, console: Console, wav: Path, reply_wav: Path, language: str) -> None:
    """Run one turn with `wav` and write the reply's speech to `reply_wav`. Raises `AnchorError`."""
    clip = load_clip(wav)
    async with (
        open_session(settings.audio_url, language=language, headers=settings.authorization) as session,
        asyncio.TaskGroup() as tasks,
    ):
        printing = tasks.create_task(print_events(session, console))
        turn = await run_turn(session, clip)
        printing.cancel()
    console.print()
    console.print(render_turn(turn))
    save_speech(reply_wav, bytes(turn.reply.pcm))
    console.print(Text.assemble(("written   ", "dim"), str(reply_wav)))


async def print_events(session: SessionClient, console: Console) -> None:
    """Print the session's events as they arrive."""
    async for event in session.stream_events():
        match event.name:
            case "partial_transcript":
                console.print(Text.assemble(("… ", "dim"), (event.message.text, "dim")))
            case "final_transcript":
                console.print(Text.assemble(("you     ", "cyan"), event.message.text or "(no words)"))
            case "reply_started":
                console.print(Text(f"anchor  [{event.message.engine}] ", "magenta"), end="")
            case "reply_text":
                console.print(Text(event.message.text), end="", soft_wrap=True)
            case "error" | "service_notice":
                console.print(Text(f"{event.message.code}: {event.message.message}", "yellow"))
            case _:
                pass
