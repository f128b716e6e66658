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


def find_recovery(events: Sequence[ServerEvent], service: str) -> ServerEvent | None:
    """The notice that the service has recovered."""
    return next(
        (
            event
            for event in events
            if event.name == "service_notice"
            and not event.message.active
            and event.message.code.startswith(f"{service}.")
        ),
        None,
    )


@pytest.mark.parametrize(
    ("module", "service"), [("tts_service", "tts"), ("stt_service", "stt"), ("vad_service", "vad")]
)
async def test_a_session_survives_a_killed_service(mesh, questions, topic_of, module: str, service: str) -> None:
    clip = load_clip(questions[0].path)
    async with open_session(mesh.url) as talk:
        await run_turn(talk, clip, listen_s=0.2)
        killed = mesh.process_of(module)
        os.kill(killed, signal.SIGKILL)
        async with asyncio.timeout(90):
            while killed in mesh.processes() or not await ready(getattr(mesh.settings, f"{service}_http_port")):
                await asyncio.sleep(0.1)
        # The orchestrator reconnects by itself, and sends a notice for services with a session-long stream.
        if service in {"vad", "stt"}:
            await talk.wait_until(lambda events: find_recovery(events, service), 30, f"{service} works again")
        turn = await run_turn(talk, clip, listen_s=0.2)
    assert mesh.process_of(module) != killed
    assert topic_of(turn.reply.text) == questions[0].topic


def test_a_second_mesh_in_the_same_run_folder_is_refused(mesh) -> None:
    environment = {**os.environ, "ANCHOR_RUN_DIR": str(mesh.settings.run_folder)}
    command = [sys.executable, "-m", "anchor_cli", "up"]
    second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert second.returncode == 1
    assert f"already running here (process {mesh.launcher.pid})" in second.stdout


def test_the_combined_log_contains_every_service(mesh) -> None:
    services = {str(record["service"]).partition("-")[0] for record in mesh.log_lines("service ready")}
    assert services == {"stt", "tts", "vad", "gpu", "orchestrator"}


async def test_a_killed_launcher_leaves_no_process(scripted_mesh) -> None:
    mesh = scripted_mesh("")
    mesh.launcher.kill()
    mesh.launcher.wait()
    async with asyncio.timeout(60):
        while mesh.processes():
            await asyncio.sleep(0.1)


def test_the_launcher_prints_its_start_time_and_address(mesh) -> None:
    text = mesh.output.read_text()
    assert re.search(r"all services ready after \d+\.\d s", text)
    assert mesh.settings.address in text
