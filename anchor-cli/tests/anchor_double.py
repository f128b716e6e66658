"""A WebSocket server that behaves like the orchestrator, for tests of the client."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from service_kit.audio import SPEECH
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

QUIET_FRAMES = 3


async def send(client: ServerConnection, name: str, **fields: Any) -> None:
    await client.send(json.dumps({"type": name, **fields}))


@dataclass
class AnchorDouble:
    """Answers each stretch of sound as one turn, with the given `behaviour`.

    answer; fail; mute (text without audio); deaf (detects no speech); hang (a reply without end); leave (closes the
    session); or babble (sends invalid messages). `messages` and `frames` are what the client sent. With a `secret`,
    other clients are refused, as the orchestrator refuses them.
    """

    behaviour: str = "answer"
    heard: str = "how is the weather"
    reply: str = "Sunny all weekend."
    reply_ms: int = 200
    waterfall: bool = True
    secret: str = ""
    port: int = 0
    messages: list[dict[str, Any]] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/audio"

    def check_secret(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.secret and request.headers.get("Authorization") != f"Bearer {self.secret}":
            return connection.respond(401, "the shared secret is missing or wrong")
        return None

    async def converse(self, client: ServerConnection) -> None:
        speaking, quiet, turn_id = False, 0, 0
        async for frame in client:
            if isinstance(frame, str):
                self.messages.append(json.loads(frame))
                if self.messages[-1]["type"] == "session_start":
                    await send(client, "session_started", session_id="s1", anchor_sample_rate_hz=24_000)
                elif self.messages[-1]["type"] == "interrupt" and self.behaviour == "hang":
                    await send(client, "playback_stop", turn_id=turn_id)
                    await send(client, "reply_finished", turn_id=turn_id, interrupted=True)
                continue
            self.frames.append(frame)
            quiet = 0 if any(frame) else quiet + 1
            if quiet == 0 and not speaking and self.behaviour != "deaf":
                speaking = True
                await send(client, "speech_started", at_ms=0)
            elif speaking and quiet == QUIET_FRAMES:
                speaking = False
                turn_id += 1
                await self._answer(client, turn_id)

    async def _answer(self, client: ServerConnection, turn_id: int) -> None:
        if self.behaviour == "leave":
            await client.close(1011, "stt.gone")
            return
        if self.behaviour == "babble":
            await send(client, "weather_report", sunny=True)
            return
        await send(client, "partial_transcript", turn_id=turn_id, text=self.heard[:3])
        await send(client, "final_transcript", turn_id=turn_id, revision=1, text=self.heard)
        await send(client, "turn_committed", turn_id=turn_id, text=self.heard)
        if self.behaviour == "fail":
            await send(client, "turn_failed", turn_id=turn_id, code="llm.gone", message="no language model")
            return
        await send(client, "reply_started", turn_id=turn_id, engine="double")
        await send(client, "reply_text", turn_id=turn_id, text=self.reply)
        if self.behaviour != "mute":
            await send(client, "reply_audio", turn_id=turn_id, offset_ms=0)
            await client.send(b"\1\0" * (SPEECH.bytes_for(self.reply_ms) // 2))
        if self.behaviour == "hang":
            return
        await send(client, "error", code="gpu.tight", message="memory is tight", retryable=True)
        if self.waterfall:
            await send(client, "latency_waterfall", turn_id=turn_id, first_frame_sent_ms=300)
        await send(client, "reply_finished", turn_id=turn_id, heard_text="Sunny", heard_ms=self.reply_ms)
        if self.waterfall:
            await send(client, "latency_waterfall", turn_id=turn_id, speech_stopped_ms=60, first_frame_sent_ms=300)


@asynccontextmanager
async def serve_anchor(**options: Any) -> AsyncGenerator[AnchorDouble]:
    double = AnchorDouble(**options)
    async with serve(double.converse, "127.0.0.1", 0, process_request=double.check_secret) as server:
        double.port = next(iter(server.sockets)).getsockname()[1]
        yield double
