"""A TTS service is killed during a reply: the reply continues in one piece where it broke off."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import open_session

pytestmark = pytest.mark.e2e

PROJECT = Path(__file__).parents[2]
START_WITHIN_S = 90.0

SENTENCES = [
    f"This is number {number} of the sentences of the evening, and it is as long as they are."
    for number in ("one", "two", "three", "four")
]
REPLY = " ".join(SENTENCES)
MS_PER_CHARACTER = 30
SCRIPT = f"""
[stt]
transcripts = ["what is new"]
[llm]
replies = ["{REPLY}"]
[tts]
ms_per_character = {MS_PER_CHARACTER}
"""


@dataclass(frozen=True)
class TtsProcess:
    """A TTS service without a supervisor."""

    process: subprocess.Popen[bytes]
    address: str
    ready_url: str

    def is_ready(self) -> bool:
        try:
            return httpx.get(self.ready_url, timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False


@pytest.fixture
def tts_processes(free_ports, tmp_path: Path) -> Iterator[list[TtsProcess]]:
    """Two ready TTS services, so that the second needs no time to start."""
    script = tmp_path / "tts.toml"
    script.write_text(SCRIPT, "utf-8")
    with ExitStack() as stack:
        started: list[TtsProcess] = []
        for grpc_port, http_port in zip(free_ports(2), free_ports(2), strict=True):
            environment = {"TTS_GRPC_PORT": str(grpc_port), "TTS_HTTP_PORT": str(http_port), "TTS_ENGINE": "scripted"}
            process = subprocess.Popen(
                [sys.executable, "-m", "tts_service"],
                env={**os.environ, **environment, "ANCHOR_SCRIPT": str(script)},
                cwd=PROJECT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            started.append(TtsProcess(process, f"127.0.0.1:{grpc_port}", f"http://127.0.0.1:{http_port}/ready"))
        until_s = time.monotonic() + START_WITHIN_S
        while not all(tts.is_ready() for tts in started):
            assert time.monotonic() < until_s
            time.sleep(0.1)
        yield started


async def test_a_reply_continues_after_its_tts_service_is_killed(scripted_mesh, tts_processes, questions) -> None:
    first, second = tts_processes
    mesh = scripted_mesh(SCRIPT, TTS_TARGET=f"ipv4:{first.address},{second.address}")
    async with open_session(mesh.url) as talk:
        await talk.play_clip(load_clip(questions[0].path))
        audio = await talk.wait_for("reply_audio", within_s=15)
        async with asyncio.timeout(30):
            while talk.speaker.reply(audio.message.turn_id).received_ms < 2000:
                await asyncio.sleep(0.05)
        first.process.kill()
        finished = await talk.wait_for("reply_finished", within_s=60)
    reply = talk.speaker.reply(audio.message.turn_id)
    assert finished.message.heard_text == reply.text == REPLY
    # All of it is spoken, up to a repeated word or a lost fade where it continued.
    assert [event.message for event in talk.events if event.name == "error"] == []
    assert reply.received_ms == pytest.approx(MS_PER_CHARACTER * len(REPLY), abs=1000)
    assert [event.message.offset_ms for event in talk.events if event.name == "reply_audio"] == [0]
    offsets_ms = [event.message.offset_ms for event in talk.events if event.name == "speech_mark"]
    assert offsets_ms == sorted(offsets_ms)
    # After the stop, the log is complete.
    mesh.stop()
    (turn,) = mesh.log_lines("turn finished")
    assert turn["underrun_ms"] <= 1500
