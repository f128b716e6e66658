"""`anchor up`: start the mesh, show that it works by talking with it, serve until told to stop."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Coroutine
from typing import Any

from rich.console import Console
from rich.text import Text
from service_kit.errors import AnchorError, PeerFailed, root_cause

from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import open_talk
from anchor_cli.client.turn import Turn, hold_turn
from anchor_cli.console import log_line, turn_report
from anchor_cli.mesh.log import LogLine
from anchor_cli.mesh.mesh import Mesh, running_mesh
from anchor_cli.mesh.programs import programs
from anchor_cli.mesh.start_progress import start_view
from anchor_cli.mesh.supervisor_client import SupervisorClient
from anchor_cli.settings import MeshSettings

LAST_LINES = 12
# How much of the reply the self-test listens to.
SELF_TEST_LISTENS_S = 1.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def up(settings: MeshSettings, console: Console, *, self_test: bool) -> None:
    """Run a mesh until a signal asks to stop. Raises `AnchorError` when it does not come up or does not stay."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)

    def show(line: LogLine) -> None:
        # While all stop at once, that they miss each other is no news.
        if not stop.is_set() or line.service == "supervisor":
            console.print(log_line(line), soft_wrap=True)

    try:
        async with running_mesh(settings, programs(settings), show) as (mesh, supervisor):
            await until_set(stop, _serve(mesh, supervisor, console, self_test))
            console.print("stopping ...")
        console.print("stopped; no process is left")
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


async def until_set(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until it ends or `stop` is set, whichever is first; raises what it raises."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


async def _serve(mesh: Mesh, supervisor: SupervisorClient, console: Console, self_test: bool) -> None:
    settings = mesh.settings
    began_s = time.monotonic()
    console.print(Text.assemble(f"starting the mesh, profile {settings.profile}; log in ", str(mesh.log.path)))
    await _bring_up(mesh, supervisor, console)
    console.print(f"all services ready after {time.monotonic() - began_s:.1f} s")
    if self_test:
        console.print(Text(f"self-test: asking {settings.self_test_wav}"))
        console.print(turn_report(await hold_self_test(settings)))
    console.print(Text.assemble(("serving at ", "bold"), (settings.address, "bold green"), "; Ctrl-C stops"))
    await mesh.until_ended()


async def hold_self_test(settings: MeshSettings) -> Turn:
    """Hold one turn in real speech with the running mesh. Raises `AnchorError` when it fails."""
    clip = load_clip(settings.root / settings.self_test_wav)
    try:
        async with open_talk(settings.audio_url) as talk:
            turn = await hold_turn(talk, clip, SELF_TEST_LISTENS_S)
    except Exception as error:
        cause = root_cause(error)
        if isinstance(cause, AnchorError):
            raise PeerFailed("mesh.self_test_failed", f"the self-test turn failed: {cause}") from error
        raise
    if not turn.heard:
        raise PeerFailed("mesh.self_test_failed", "the self-test turn failed: no words were recognised")
    return turn


async def _bring_up(mesh: Mesh, supervisor: SupervisorClient, console: Console) -> None:
    try:
        with start_view(console) as show:
            await mesh.until_ready(supervisor, show)
    except Exception as error:
        cause = root_cause(error)
        blamed = str(cause.args[0]).partition(" ")[0] if cause.args else ""
        for line in mesh.log.last_lines(blamed, LAST_LINES):
            console.print(Text(f"  {line}", "dim"), soft_wrap=True)
        raise
