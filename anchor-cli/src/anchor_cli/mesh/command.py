"""`anchor up`: starts the mesh, runs a self-test turn, and serves until a signal."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Coroutine
from typing import Any

from rich.console import Console
from rich.text import Text
from service_kit.errors import root_cause
from service_kit.familiar_settings import FamiliarSettings, answer_familiar_settings

from anchor_cli.client.waterfall import render_turn
from anchor_cli.mesh.log import LogLine, render_log_line
from anchor_cli.mesh.mesh import Mesh, running_mesh
from anchor_cli.mesh.programs import mesh_programs
from anchor_cli.mesh.self_test import compare_words, run_self_test, spoken_text
from anchor_cli.mesh.start_progress import show_start_progress
from anchor_cli.mesh.supervisor_client import SupervisorClient
from anchor_cli.settings import MeshSettings

FAILURE_LOG_LINES = 12
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def run_mesh(settings: MeshSettings, console: Console, *, self_test: bool) -> None:
    """Run a mesh until a stop signal. Raises `AnchorError` when it does not start or ends by itself."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)

    def show(line: LogLine) -> None:
        # During shutdown the services' connection errors are expected.
        if not stop.is_set() or line.service == "supervisor":
            console.print(render_log_line(line), soft_wrap=True)

    try:
        async with running_mesh(settings, mesh_programs(settings), show) as (mesh, supervisor):
            await run_until_stopped(stop, _serve(mesh, supervisor, console, self_test))
            console.print("stopping ...")
        console.print("stopped; no process is left")
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


async def run_until_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until it ends or `stop` is set, whichever comes first; exceptions of `work` propagate."""
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
    console.print(Text.assemble(f"starting the mesh, profile {settings.profile}; log file ", str(mesh.log.path)))
    for line in answer_familiar_settings(FamiliarSettings()):
        console.print(Text(line, "yellow"), soft_wrap=True)
    await _wait_until_ready(mesh, supervisor, console)
    console.print(f"all services ready after {time.monotonic() - began_s:.1f} s")
    if self_test:
        console.print(Text(f"self-test: asking {settings.self_test_wav}"))
        turn = await run_self_test(settings)
        if comparison := compare_words(spoken_text(settings.root / settings.self_test_wav), turn.transcript):
            console.print(comparison, soft_wrap=True)
        console.print(render_turn(turn))
    console.print(Text.assemble(("serving at ", "bold"), (settings.address, "bold green"), "; Ctrl-C stops"))
    await mesh.wait_until_ended()


async def _wait_until_ready(mesh: Mesh, supervisor: SupervisorClient, console: Console) -> None:
    try:
        with show_start_progress(console) as show:
            await mesh.wait_until_ready(supervisor, show)
    except Exception as error:
        cause = root_cause(error)
        program = str(cause.args[0]).partition(" ")[0] if cause.args else ""
        for line in mesh.log.last_lines(program, FAILURE_LOG_LINES):
            console.print(Text(f"  {line}", "dim"), soft_wrap=True)
        raise
