"""`anchor demo`: play a recording into the running mesh as a microphone would, and show what comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.console import Console
from rich.text import Text

from anchor_cli.client.audio_files import load_clip, save_speech
from anchor_cli.client.session_client import Talk, open_talk
from anchor_cli.client.turn import hold_turn
from anchor_cli.console import turn_report
from anchor_cli.settings import MeshSettings


async def demo(settings: MeshSettings, console: Console, wav: Path, reply_wav: Path, language: str) -> None:
    """Hold one turn with `wav` and write the reply's speech to `reply_wav`. Raises `AnchorError`."""
    clip = load_clip(wav)
    async with open_talk(settings.audio_url, language=language) as talk, asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(tell(talk, console))
        turn = await hold_turn(talk, clip)
        telling.cancel()
    console.print()
    console.print(turn_report(turn))
    save_speech(reply_wav, bytes(turn.reply.pcm))
    console.print(Text.assemble(("written   ", "dim"), str(reply_wav)))


async def tell(talk: Talk, console: Console) -> None:
    """Print what happens in `talk`, as it happens."""
    async for event in talk.told():
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
