"""A session with the orchestrator's channels multiplexed, and with `ANCHOR_MULTIPLEX=false`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from orchestrator.app import build as build_orchestrator
from orchestrator.settings import OrchestratorSettings
from prometheus_client import REGISTRY
from service_kit.service import Service
from stt_service.app import build as build_stt
from stt_service.settings import SttSettings
from tts_service.app import build as build_tts
from tts_service.settings import TtsSettings
from vad_service.app import build as build_vad
from vad_service.settings import VadSettings
from websockets.asyncio.client import connect

ROOT = Path(__file__).parents[2]
PORTS: dict[str, Any] = {"grpc_port": 0, "http_port": 0, "drain_s": 0}
WITHIN_S = 30
SCRIPT = """
[stt]
transcripts = ["what is the news"]
final_after = "flush"
final_delay_ms = 10
[tts]
first_audio_delay_ms = 5
real_time_factor = 0
[llm]
replies = ["The ferry sails at six."]
first_token_delay_ms = 5
tokens_per_second = 2000
"""
MULTIPLEX = "/anchor.multiplex.v1.MultiplexService/Multiplex"
TONE = (np.sin(np.arange(320) * 0.3) * 16_000).astype("<i2").tobytes()


@asynccontextmanager
async def running(service: Service) -> AsyncGenerator[Service]:
    stop = asyncio.Event()
    life = asyncio.create_task(service.run(stop))
    while not service.health.ready:
        assert not life.done(), life.result()
        await asyncio.sleep(0.01)
    try:
        yield service
    finally:
        stop.set()
        await life


def multiplexed_streams() -> float:
    return REGISTRY.get_sample_value("anchor_rpcs_open", {"method": MULTIPLEX}) or 0


@pytest.mark.parametrize("multiplex", [True, False], ids=["multiplexed", "plain"])
async def test_a_spoken_turn_is_answered_whatever_the_setting(
    multiplex: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    script = tmp_path / "script.toml"
    script.write_text(SCRIPT)
    monkeypatch.setenv("ANCHOR_SCRIPT", str(script))
    monkeypatch.setenv("ANCHOR_MULTIPLEX", str(multiplex).lower())
    async with (
        running(build_vad(VadSettings(engine="energy", turn_end_predictor="pause", **PORTS))) as vad,
        running(build_stt(SttSettings(engine="scripted", script=script, **PORTS))) as stt,
        running(build_tts(TtsSettings(engine="scripted", script=script, **PORTS))) as tts,
    ):
        settings = OrchestratorSettings(
            llm="scripted",
            vad_target=f"127.0.0.1:{vad.grpc_port}",
            stt_target=f"127.0.0.1:{stt.grpc_port}",
            tts_target=f"127.0.0.1:{tts.grpc_port}",
            knowledge_dir=ROOT / "content/knowledge",
            personas_dir=ROOT / "content/personas",
            web_dir=tmp_path,
            **PORTS,
        )
        async with running(build_orchestrator(settings)) as orchestrator:
            messages, audio_bytes = await spoken_turn(orchestrator)
            assert (multiplexed_streams() > 0) is multiplex
    assert "".join(m["text"] for m in messages if m["type"] == "reply_text").strip() == "The ferry sails at six."
    assert audio_bytes > 0


async def spoken_turn(orchestrator: Service) -> tuple[list[dict[str, Any]], int]:
    """Speak for a second, then wait for the end of the reply; returns the messages and the bytes of reply audio."""
    messages: list[dict[str, Any]] = []
    audio_bytes = 0
    async with (
        asyncio.timeout(WITHIN_S),
        connect(f"ws://127.0.0.1:{orchestrator.http_port}/ws/audio", compression=None, max_queue=None) as socket,
    ):
        await socket.send(json.dumps({"type": "session_start"}))

        async def speak() -> None:
            for frame in [TONE] * 50 + [bytes(640)] * 10_000:
                await socket.send(frame)
                await asyncio.sleep(0.02)

        speaking = asyncio.create_task(speak())
        while not messages or messages[-1]["type"] != "reply_finished":
            frame = await socket.recv()
            if isinstance(frame, bytes):
                audio_bytes += len(frame)
            else:
                messages.append(json.loads(frame))
        speaking.cancel()
        await asyncio.wait((speaking,))
    return messages, audio_bytes
