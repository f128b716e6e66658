"""The launcher and the supervisor with the real services."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence

import httpx
import pytest
from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import ServerEvent, open_session
from anchor_cli.client.turn import run_turn

pytestmark = pytest.mark.e2e


async def ready(port: int) -> bool:
    async with httpx.AsyncClient(timeout=1) as http:
        try:
            return (await http.get(f"http://127.0.0.1:{port}/ready")).status_code == 200
        except httpx.HTTPError:
            return False


def found_again(events: Sequence[ServerEvent], door: str) -> ServerEvent | None:
    """The notice that the service works again."""
    return next(
        (
            event
            for event in events
            if event.name == "service_notice" and not event.message.active and event.message.code.startswith(f"{door}.")
        ),
        None,
    )


@pytest.mark.parametrize(("module", "door"), [("tts_service", "tts"), ("stt_service", "stt"), ("vad_service", "vad")])
async def test_a_session_outlives_a_service_that_was_killed(mesh, questions, topic_of, module: str, door: str) -> None:
    clip = load_clip(questions[0].path)
    async with open_session(mesh.url) as talk:
        await run_turn(talk, clip, listen_s=0.2)
        killed = mesh.process_of(module)
        os.kill(killed, signal.SIGKILL)
        async with asyncio.timeout(90):
            while killed in mesh.processes() or not await ready(getattr(mesh.settings, f"{door}_http_port")):
                await asyncio.sleep(0.1)
        # The orchestrator comes back to it by itself, and says so of those that it always listens to.
        if door in {"vad", "stt"}:
            await talk.wait_until(lambda events: found_again(events, door), 30, f"{door} works again")
        turn = await run_turn(talk, clip, listen_s=0.2)
    assert mesh.process_of(module) != killed
    assert topic_of(turn.reply.text) == questions[0].topic


def test_a_second_mesh_in_the_same_place_says_that_one_runs(mesh) -> None:
    environment = {**os.environ, "ANCHOR_RUN_DIR": str(mesh.settings.run_folder)}
    command = [sys.executable, "-m", "anchor_cli", "up"]
    second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert second.returncode == 1
    assert f"already running here (process {mesh.launcher.pid})" in second.stdout


def test_the_combined_log_holds_every_service(mesh) -> None:
    services = {str(record["service"]).partition("-")[0] for record in mesh.log_lines("service ready")}
    assert services == {"stt", "tts", "vad", "gpu", "orchestrator"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_launcher_leaves_no_process(scripted_mesh, number: signal.Signals) -> None:
    mesh = scripted_mesh("")
    assert len(mesh.processes()) >= 7
    assert mesh.stop(number) == 0
    assert mesh.processes() == {}
    assert "no process is left" in mesh.output.read_text()


async def test_a_killed_launcher_leaves_no_process_either(scripted_mesh) -> None:
    mesh = scripted_mesh("")
    mesh.launcher.kill()
    mesh.launcher.wait()
    async with asyncio.timeout(60):
        while mesh.processes():
            await asyncio.sleep(0.1)


def test_the_launcher_says_how_long_it_took_and_where_it_serves(mesh) -> None:
    text = mesh.output.read_text()
    assert re.search(r"all services ready after \d+\.\d s", text)
    assert mesh.settings.address in text
