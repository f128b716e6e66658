"""A WebSocket server that answers as an anchor does, so that the client can be tried without a mesh."""

from __future__ import annotations

import json
import os
import random
import socket
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from service_kit.audio import MICROPHONE, SPEECH, to_pcm
from websockets.asyncio.server import ServerConnection, serve

pytest_plugins = ["service_kit.testing.plugin"]

QUIET_FRAMES = 3

# Below those that the kernel gives to who asks for any or calls out; each process of a test run has its own.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
_PORTS = iter(random.sample(range(16_000 + 1_500 * _WORKER, 16_000 + 1_500 * (_WORKER + 1)), 1_500))


async def send(client: ServerConnection, name: str, **fields: Any) -> None:
    await client.send(json.dumps({"type": name, **fields}))


@dataclass
class AnchorDouble:
    """One turn for each stretch of sound, answered by `manner`.

    That is answer, fail, mute (text without sound), deaf (hears nothing), hang (a reply without end), leave (closes
    the session) or babble (says what is in no protocol). `told` and `frames` are what came from the client.
    """

    manner: str = "answer"
    heard: str = "how is the weather"
    reply: str = "Sunny all weekend."
    reply_ms: int = 200
    waterfall: bool = True
    port: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/audio"

    async def converse(self, client: ServerConnection) -> None:
        speaking, quiet, turn_id = False, 0, 0
        async for frame in client:
            if isinstance(frame, str):
                self.told.append(json.loads(frame))
                if self.told[-1]["type"] == "session_start":
                    await send(client, "session_started", session_id="s1", anchor_sample_rate_hz=24_000)
                elif self.told[-1]["type"] == "interrupt" and self.manner == "hang":
                    await send(client, "playback_stop", turn_id=turn_id)
                    await send(client, "reply_finished", turn_id=turn_id, interrupted=True)
                continue
            self.frames.append(frame)
            quiet = 0 if any(frame) else quiet + 1
            if quiet == 0 and not speaking and self.manner != "deaf":
                speaking = True
                await send(client, "speech_started", at_ms=0)
            elif speaking and quiet == QUIET_FRAMES:
                speaking = False
                turn_id += 1
                await self._answer(client, turn_id)

    async def _answer(self, client: ServerConnection, turn_id: int) -> None:
        if self.manner == "leave":
            await client.close(1011, "stt.gone")
            return
        if self.manner == "babble":
            await send(client, "weather_report", sunny=True)
            return
        await send(client, "partial_transcript", turn_id=turn_id, text=self.heard[:3])
        await send(client, "final_transcript", turn_id=turn_id, revision=1, text=self.heard)
        await send(client, "turn_committed", turn_id=turn_id, text=self.heard)
        if self.manner == "fail":
            await send(client, "turn_failed", turn_id=turn_id, code="llm.gone", message="nobody thinks")
            return
        await send(client, "reply_started", turn_id=turn_id, engine="double")
        await send(client, "reply_text", turn_id=turn_id, text=self.reply)
        if self.manner != "mute":
            await send(client, "reply_audio", turn_id=turn_id, offset_ms=0)
            await client.send(b"\1\0" * (SPEECH.bytes_for(self.reply_ms) // 2))
        if self.manner == "hang":
            return
        await send(client, "error", code="gpu.tight", message="memory is tight", retryable=True)
        if self.waterfall:
            await send(client, "latency_waterfall", turn_id=turn_id, speech_stopped_ms=60, first_frame_sent_ms=300)
        await send(client, "reply_finished", turn_id=turn_id, heard_text="Sunny", heard_ms=self.reply_ms)


@asynccontextmanager
async def _serving(**manners: Any) -> AsyncGenerator[AnchorDouble]:
    double = AnchorDouble(**manners)
    async with serve(double.converse, "127.0.0.1", 0) as server:
        double.port = next(iter(server.sockets)).getsockname()[1]
        yield double


@pytest.fixture
def anchor() -> Callable[..., AbstractAsyncContextManager[AnchorDouble]]:
    return _serving


@pytest.fixture
def question() -> bytes:
    """Microphone PCM: 200 ms of sound, 60 ms of silence."""
    samples = 0.5 * np.sin(np.arange(MICROPHONE.rate_hz // 5) * 0.2)
    return to_pcm(samples.astype(np.float32)) + bytes(MICROPHONE.bytes_for(60))


@pytest.fixture
def short_root() -> Iterator[Path]:
    """An empty folder; pytest's own make paths too long for the supervisor's socket."""
    with tempfile.TemporaryDirectory(prefix="anchor-") as folder:
        yield Path(folder)


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Finds ports that nobody takes until they are used: each is found once, and the kernel gives none of them away."""

    def port() -> int:
        for chosen in _PORTS:
            with suppress(OSError), socket.create_server(("127.0.0.1", chosen)):
                return chosen
        pytest.fail("no port is free")

    return port


@pytest.fixture
def ports(free_port: Callable[[], int]) -> dict[str, int]:
    """Free ports for a whole mesh, by the names of the settings."""
    programs = ("vad", "stt", "tts", "gpu", "orchestrator")
    return {f"{name}_{door}_port": free_port() for name in programs for door in ("grpc", "http")}


@pytest.fixture
def hub() -> Iterator[Any]:
    """A hub with the files of one model."""
    from hub_double import CONFIG, WEIGHTS, Hub, serving

    with serving(Hub({"model.safetensors": WEIGHTS, "config.json": CONFIG})) as hub:
        yield hub


@pytest.fixture
def store(hub: Any, tmp_path: Path) -> Any:
    """Pulls from it."""
    from hub_double import store_of

    return store_of(hub, tmp_path)
