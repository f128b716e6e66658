"""Real sockets that are really torn down: the session waits, and the reply goes on where it broke off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from anchor.session.v1 import session_pb2, session_pb2_grpc
from grpc import aio
from orchestrator.app import build as build_orchestrator
from orchestrator.metrics import MICROPHONE_CHUNKS_DROPPED
from orchestrator.settings import OrchestratorSettings
from service_kit.rpc.channel import open_channel
from service_kit.service import Service
from stt_service.app import build as build_stt
from stt_service.settings import SttSettings
from tts_service.app import build as build_tts
from tts_service.settings import TtsSettings
from vad_service.app import build as build_vad
from vad_service.settings import VadSettings
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

ROOT = Path(__file__).parents[2]
PORTS: dict[str, Any] = {"grpc_port": 0, "http_port": 0, "drain_s": 0}
PATIENCE_S = 30
REPLY = "This is a long reply that goes on for quite a while, so that a connection may drop in the middle of it. " * 2
SCRIPT = f"""
[stt]
transcripts = ["what is the news"]
final_after = "flush"
final_delay_ms = 10
[tts]
first_audio_delay_ms = 5
real_time_factor = 0
[llm]
replies = ["{REPLY.strip()}"]
first_token_delay_ms = 5
tokens_per_second = 2000
"""


@asynccontextmanager
async def up(service: Service) -> AsyncGenerator[Service]:
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


@pytest.fixture
async def anchor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Service]:
    """The orchestrator with scripted services behind it."""
    script = tmp_path / "script.toml"
    script.write_text(SCRIPT)
    monkeypatch.setenv("ANCHOR_SCRIPT", str(script))
    async with (
        up(build_vad(VadSettings(engine="energy", turn_end_predictor="pause", **PORTS))) as vad,
        up(build_stt(SttSettings(engine="scripted", script=script, **PORTS))) as stt,
        up(build_tts(TtsSettings(engine="scripted", script=script, **PORTS))) as tts,
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
        async with up(build_orchestrator(settings)) as orchestrator:
            yield orchestrator


@dataclass
class Page:
    """A client that puts the reply together from whatever connections it had."""

    service: Service
    reply: bytearray = field(default_factory=bytearray)
    repeated_bytes: int = 0
    place: int = 0
    turn_id: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)
    socket: ClientConnection | None = None

    async def open(self, **start: object) -> None:
        self.told.clear()
        address = f"ws://127.0.0.1:{self.service.http_port}/ws/audio"
        # Frames that nobody reads must not keep the closing handshake back.
        self.socket = await connect(address, compression=None, max_queue=None)
        await self.say("session_start", reports_playback=True, **start)
        await self.until("session_started")

    async def say(self, kind: str, **fields: object) -> None:
        assert self.socket is not None
        await self.socket.send(json.dumps({"type": kind, **fields}))

    def tear(self) -> None:
        """No closing handshake: the connection is reset."""
        assert self.socket is not None
        self.socket.transport.abort()

    async def take(self) -> dict[str, Any] | None:
        """The next message, or None for a frame of speech."""
        assert self.socket is not None
        frame = await self.socket.recv()
        if isinstance(frame, bytes):
            assert self.place <= len(self.reply), "a gap"
            self.repeated_bytes += len(self.reply) - self.place
            self.reply[self.place :] = frame
            self.place += len(frame)
            await self.say("playback_progress", turn_id=self.turn_id, played_ms=self.received["offset_ms"])
            return None
        message: dict[str, Any] = json.loads(frame)
        self.told.append(message)
        if message["type"] == "reply_audio":
            self.turn_id, self.place = message["turn_id"], message["offset_ms"] * 48
        return message

    async def until(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while (message := await self.take()) is None or message["type"] != kind:
                pass
        return message

    async def until_ms(self, received_ms: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.reply) < received_ms * 48:
                await self.take()

    @property
    def received(self) -> dict[str, int]:
        return {"turn_id": self.turn_id, "offset_ms": len(self.reply) // 48}

    def first(self, kind: str) -> dict[str, Any]:
        return next(message for message in self.told if message["type"] == kind)


async def spoken(service: Service) -> bytes:
    """The reply as it comes over a connection that holds."""
    page = Page(service)
    await page.open()
    await page.say("text_input", text="hello")
    await page.until("reply_finished")
    assert page.socket is not None
    await page.socket.close()
    return bytes(page.reply)


async def test_a_reply_survives_torn_connections_sample_by_sample(anchor):
    whole = await spoken(anchor)
    assert len(whole) > 5_000 * 48
    page = Page(anchor)
    await page.open()
    known = page.first("session_started")
    await page.say("text_input", text="hello")
    for cut_ms in (1_000, 2_500, 4_000):
        await page.until_ms(cut_ms)
        page.tear()
        await page.open(ticket=known["ticket"], session_id=known["session_id"], received=page.received)
        again = page.first("session_started")
        assert (again["session_id"], again["resumed"]) == (known["session_id"], True)
    finished = await page.until("reply_finished")
    assert bytes(page.reply) == whole
    assert page.repeated_bytes == 0
    assert finished["interrupted"] is False
    assert finished["heard_ms"] == round(len(whole) / 48)
    kinds = [message["type"] for message in page.told]
    assert kinds[:3] == ["session_started", "choices", "session_updated"]
    assert kinds.index("reply_text") < kinds.index("reply_audio")
    await page.socket.close()


async def test_a_page_loaded_anew_goes_on_from_what_was_heard(anchor):
    whole = await spoken(anchor)
    page = Page(anchor)
    await page.open()
    await page.say("text_input", text="hello")
    await page.until_ms(2_000)
    ticket = page.first("session_started")["ticket"]
    await page.socket.close(1001)
    fresh = Page(anchor)
    await fresh.open(ticket=ticket)
    placed = await fresh.until("reply_audio")
    fresh.reply = bytearray(whole[: fresh.place])
    await fresh.until("reply_finished")
    assert 0 < placed["offset_ms"] <= len(page.reply) // 48
    assert bytes(fresh.reply) == whole
    assert fresh.first("reply_text")["text"].split() == REPLY.split()
    await fresh.socket.close()


async def test_a_client_that_hung_up_is_not_waited_for(anchor):
    page = Page(anchor)
    await page.open()
    known = page.first("session_started")
    await page.socket.close(1000)
    await page.open(ticket=known["ticket"])
    assert page.first("session_started")["session_id"] != known["session_id"]
    await page.socket.close()


async def test_whoever_takes_over_hears_on_and_the_first_is_told(anchor):
    first, second = Page(anchor), Page(anchor)
    await first.open()
    await first.say("text_input", text="hello")
    await first.until_ms(1_000)
    ticket = first.first("session_started")["ticket"]
    # A connection over which something comes is in use.
    silent = asyncio.create_task(silence(first))
    with pytest.raises(ConnectionClosed) as closed:
        await Page(anchor).open(ticket=ticket)
    silent.cancel()
    assert closed.value.rcvd.reason == "session.already_open"
    await second.open(ticket=ticket, take_over=True)
    with pytest.raises(ConnectionClosed):
        await first.until("nothing")
    assert first.told[-1] == {
        "type": "session_ended",
        "code": "session.taken_over",
        "message": "the conversation goes on elsewhere",
    }
    placed = await second.until("reply_audio")
    second.reply = bytearray(second.place)
    assert placed["turn_id"] == first.turn_id
    await second.until("reply_finished")
    await second.socket.close()


async def test_what_was_said_while_the_line_was_down_is_heard(anchor):
    page = Page(anchor)
    await page.open()
    known = page.first("session_started")
    tone = (np.sin(np.arange(320) * 0.3) * 16_000).astype("<i2").tobytes()
    for _ in range(25):
        await page.socket.send(tone)
        await asyncio.sleep(0.02)
    # The answer to what was asked after the audio: all of it has come.
    await page.say("request_status")
    await page.until("system_status")
    page.tear()
    await committed(anchor, known["ticket"])
    dropped = MICROPHONE_CHUNKS_DROPPED._value.get()
    await page.open(ticket=known["ticket"], session_id=known["session_id"])
    for frame in [tone] * 60 + [bytes(640)] * 40:
        await page.socket.send(frame)
    silent = asyncio.create_task(silence(page))
    # The first is the one told again.
    assert (await page.until("turn_committed"))["turn_id"] == 1
    assert (await page.until("speech_started"))["at_ms"] >= 500
    await page.until("turn_committed")
    silent.cancel()
    assert MICROPHONE_CHUNKS_DROPPED._value.get() == dropped
    page.tear()


async def committed(service: Service, ticket: str) -> None:
    """Wait until a turn of this conversation is committed."""
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.http_port}", timeout=PATIENCE_S) as http,
        asyncio.timeout(PATIENCE_S),
    ):
        while not (await http.get(f"/conversation/{ticket}")).json()["messages"]:
            await asyncio.sleep(0.02)


async def silence(page: Page) -> None:
    while True:
        await page.socket.send(bytes(640))
        await asyncio.sleep(0.02)


async def test_a_grpc_call_that_breaks_off_is_gone_on_with_in_the_next(anchor):
    channel = open_channel(f"127.0.0.1:{anchor.grpc_port}")
    stub = session_pb2_grpc.SessionServiceStub(channel)
    reply = bytearray()
    turn_id = 0

    async def converse(call: Any, until_bytes: int | None) -> session_pb2.SessionStarted:
        nonlocal turn_id
        started = session_pb2.SessionStarted()
        place = 0
        while True:
            message = (await call.read()).message
            match message.WhichOneof("message"):
                case "session_started":
                    started.CopyFrom(message.session_started)
                case "reply_audio":
                    turn_id, place = message.reply_audio.turn_id, message.reply_audio.offset_ms * 48
                case "anchor_audio":
                    assert place == len(reply)
                    reply.extend(message.anchor_audio.pcm)
                    place = len(reply)
                    progress = session_pb2.PlaybackProgress(turn_id=turn_id, played_ms=place // 48)
                    await call.write(request(playback_progress=progress))
                case "reply_finished":
                    return started
                case _:
                    pass
            if until_bytes is not None and len(reply) >= until_bytes:
                return started

    def request(**message: Any) -> session_pb2.ConverseRequest:
        return session_pb2.ConverseRequest(message=session_pb2.ClientMessage(**message))

    whole = await spoken(anchor)
    first = stub.Converse()
    await first.write(request(session_start=session_pb2.SessionStart(reports_playback=True)))
    await first.write(request(text_input=session_pb2.TextInput(text="hello")))
    async with asyncio.timeout(PATIENCE_S):
        started = await converse(first, 2_000 * 48)
    first.cancel()
    received = session_pb2.ReplyReceived(turn_id=turn_id, offset_ms=len(reply) // 48)
    again = session_pb2.SessionStart(
        reports_playback=True, ticket=started.ticket, session_id=started.session_id, received=received
    )
    second = stub.Converse()
    await second.write(request(session_start=again))
    async with asyncio.timeout(PATIENCE_S):
        resumed = await converse(second, None)
    assert resumed.session_id == started.session_id
    assert bytes(reply) == whole
    await second.done_writing()
    async with asyncio.timeout(PATIENCE_S):
        while (await second.read()) is not aio.EOF:
            pass
    await channel.close()
