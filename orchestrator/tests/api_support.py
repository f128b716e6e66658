"""Fake sessions behind the real APIs: each turn is answered at once, with an echo of its text and a tone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO

import av
import numpy as np
from app_server import serve_app
from fastapi import FastAPI
from orchestrator.api.access import AccessPolicy, guard
from orchestrator.api.http import access_token
from orchestrator.api.limits import ApiLimits
from orchestrator.api.routes import add_routes
from orchestrator.api.secret_check import SecretCheck
from orchestrator.api.streaming import captions
from orchestrator.conversation.connection.caption_feed import CaptionFeed
from orchestrator.conversation.messages.client import (
    Command,
    EndTurn,
    Interrupt,
    PlaybackProgress,
    SessionStart,
    SetVoice,
    TextInput,
    TurnDetection,
)
from orchestrator.conversation.messages.server import (
    Error,
    FinalTranscript,
    LatencyWaterfall,
    ReplyAudio,
    ReplyAudioEnded,
    ReplyFinished,
    ReplyStarted,
    ReplyText,
    SessionEnded,
    SessionStarted,
    SessionUpdated,
    TurnCommitted,
    TurnFailed,
)
from orchestrator.conversation.model.ports import Client, Message
from orchestrator.conversation.model.store import Selection
from service_kit.audio import MICROPHONE, SPEECH
from service_kit.errors import AtCapacity, Denied, InvalidRequest, NotFound, PeerFailed, Stopping

TONE_MS = 300
TONE = (np.sin(np.arange(24 * TONE_MS) / 5) * 9000).astype("<i2").tobytes()


@dataclass
class FakePreferences:
    language: str
    voice: str
    persona: str
    patience: float


@dataclass
class FakeConversation:
    ticket: str
    preferences: FakePreferences
    messages: tuple[Message, ...] = ()
    created_unix_s: float = 1_700_000_000.0
    open: bool = False
    turns: int = 0


class EchoSession:
    """Answers each turn with its own text. Some texts select failures: `fail`, `mute`, `stumble`, `long`."""

    def __init__(self, sessions: FakeSessions, conversation: FakeConversation, start: SessionStart, client: Client):
        self.sessions, self.conversation, self.start, self.client = sessions, conversation, start, client
        self.heard = bytearray()
        self.played_ms = 0

    async def run(self, source: AsyncIterator[bytes | Command]) -> None:
        chosen = self.conversation.preferences
        names = (self.conversation.ticket, chosen.language, chosen.voice, chosen.persona)
        resumed = bool(self.conversation.messages)
        await self.client.send(SessionStarted("s1", *names, MICROPHONE.rate_hz, SPEECH.rate_hz, resumed, 1.0))
        async for item in source:
            if isinstance(item, bytes):
                self.heard += item
            else:
                await self._handle_command(item, source)
        await self.client.send(SessionEnded("session.closed_by_client", "the client ended the session"))

    async def _handle_command(self, command: Command, source: AsyncIterator[bytes | Command]) -> None:
        self.sessions.commands.append(command)
        match command:
            case EndTurn():
                self.sessions.heard.append(bytes(self.heard))
                text = f"{round(MICROPHONE.ms_of(len(self.heard)))} ms"
                self.heard.clear()
                await self._answer(text, source)
            case TextInput("break"):
                raise PeerFailed("stt.gone", "speech to text failed")
            case TextInput("move"):
                raise Stopping("session.moving", "the anchor restarts")
            case TextInput("move after this"):
                await self._answer("move after this", source)
                raise Stopping("session.moving", "the anchor restarts")
            case TextInput("crash"):
                raise RuntimeError("a bug")
            case TextInput("hang"):
                await asyncio.Event().wait()
            case TextInput("leave"):
                raise ExceptionGroup("two at once", [PeerFailed("tts.gone", "the voice failed")])
            case TextInput(text):
                await self._answer(text, source)
            case SetVoice("unknown"):
                await self.client.send(Error("session.unknown_voice", "no voice 'unknown'", False))
            case SetVoice(voice):
                await self.client.send(SessionUpdated("en", voice, "anchor", 1.0))
            case _:
                return

    async def _answer(self, text: str, source: AsyncIterator[bytes | Command]) -> None:
        self.conversation.turns += 1
        turn, send = self.conversation.turns, self.client.send
        if text == "fail":
            await send(TurnFailed(turn, "llm.gone", "the language model failed"))
            await send(ReplyFinished(turn, "", 0, interrupted=False, estimated=False))
            return
        if text != "0 ms":
            await send(FinalTranscript(turn, 1, text, "de", 0.5))
            await send(TurnCommitted(turn, text))
        await send(ReplyStarted(turn, "echo"))
        await send(ReplyText(turn, "You said "))
        await send(ReplyText(turn, f"{text}. Grüße, 🙂"))
        if text == "mute":
            await send(Error("tts.gone", "captions only", retryable=True))
            await send(ReplyFinished(turn, f"You said {text}", 0, interrupted=False, estimated=False))
            return
        if text == "stumble":
            await send(TurnFailed(turn, "llm.gone", "the language model failed"))
            await send(ReplyText(turn, " Sorry."))
        await self._speak(turn, source, pieces=100 if text == "long" else 1)
        self.conversation.messages += (Message("user", text), Message("anchor", f"You said {text}."))

    async def _speak(self, turn: int, source: AsyncIterator[bytes | Command], pieces: int) -> None:
        send = self.client.send
        await send(ReplyAudio(turn, 0))
        interrupted = False
        for _ in range(pieces):
            await self.client.send_audio(TONE)
            if self.start.reports_playback and not interrupted:
                interrupted = await self._wait_heard_or_interrupted(source)
        await send(ReplyAudioEnded(turn, TONE_MS * pieces))
        await send(ReplyFinished(turn, "You said", TONE_MS * pieces, interrupted, not self.start.reports_playback))
        await send(LatencyWaterfall(turn, 900, turn_committed_ms=210, first_audio_ms=340))

    async def _wait_heard_or_interrupted(self, source: AsyncIterator[bytes | Command]) -> bool:
        async for item in source:
            if isinstance(item, PlaybackProgress):
                self.sessions.commands.append(item)
                if item.played_ms > self.played_ms:
                    self.played_ms = item.played_ms
                    return False
            if isinstance(item, Interrupt):
                return True
        return True


@dataclass
class FakeSessions:
    """All conversations in memory, at most `capacity` of them open."""

    capacity: int = 8
    conversations: dict[str, FakeConversation] = field(default_factory=dict)
    starts: list[SessionStart] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    persons: list[str] = field(default_factory=list)
    selections: list[Selection] = field(default_factory=list)
    # By watch key: the captions of running sessions.
    feeds: dict[str, CaptionFeed] = field(default_factory=dict)
    open_count: int = 0
    # Raised for callers that ask for room, if set.
    no_room: AtCapacity | None = None

    def start_conversation(self, start: SessionStart) -> FakeConversation:
        if start.language == "xx":
            raise InvalidRequest("session.unknown_language", "no language 'xx'")
        self.persons.append(start.person_id)
        ticket = f"ticket-{len(self.conversations) + 1}"
        patience = 1.0 if start.patience is None else start.patience
        chosen = FakePreferences(start.language or "en", start.voice, start.persona or "anchor", patience)
        self.conversations[ticket] = FakeConversation(ticket, chosen)
        return self.conversations[ticket]

    async def find_watch_key(self, ticket: str) -> str:
        return f"watch_{self.conversation(ticket).ticket}"

    def find_captions(self, key: str) -> CaptionFeed:
        if key not in self.feeds:
            raise Denied("watch.unknown_key", "no conversation that runs has this watch key")
        return self.feeds[key]

    def conversation(self, ticket: str) -> FakeConversation:
        if ticket not in self.conversations:
            raise NotFound("session.unknown_ticket", "no conversation has this ticket")
        return self.conversations[ticket]

    def require_room(self) -> None:
        if self.no_room is not None:
            raise self.no_room

    async def find_conversation(self, ticket: str) -> FakeConversation:
        return self.conversation(ticket)

    async def end_conversation(self, ticket: str) -> None:
        del self.conversations[self.conversation(ticket).ticket]

    async def export_stored(self, selection: Selection) -> tuple[Mapping[str, object], ...]:
        self.selections.append(selection)
        return ({"id": "key", "person_id": selection.value},)

    async def delete_stored(self, selection: Selection) -> int:
        self.selections.append(selection)
        return 2

    @asynccontextmanager
    async def open(
        self, start: SessionStart, client: Client, *, resumable: bool = False
    ) -> AsyncGenerator[EchoSession]:
        self.starts.append(start)
        if self.open_count >= self.capacity:
            raise AtCapacity("session.at_capacity", "all sessions are taken")
        conversation = self.conversation(start.ticket) if start.ticket else self.start_conversation(start)
        if conversation.open:
            raise InvalidRequest("session.already_open", "another client has this conversation open")
        conversation.open = True
        self.open_count += 1
        try:
            yield EchoSession(self, conversation, start, client)
        finally:
            conversation.open = False
            self.open_count -= 1

    async def wait_all_closed(self) -> None:
        """Wait until no session is open."""
        async with asyncio.timeout(20):
            while self.open_count:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def serve_apis(
    sessions: FakeSessions,
    limits: ApiLimits | None = None,
    policy: AccessPolicy | None = None,
    secret_check: SecretCheck | None = None,
) -> AsyncGenerator[str]:
    """Serve the APIs on a real server; yields its `host:port`."""
    app = FastAPI()
    add_routes(app, sessions, limits or ApiLimits())

    @app.get("/health")
    async def health() -> str:
        return "well"

    @app.get("/bug")
    async def bug() -> None:
        raise RuntimeError("a bug")

    policy = policy or AccessPolicy()
    secret_check = secret_check or SecretCheck(policy.secret)
    app.include_router(access_token.routes(secret_check.single_use_tokens))
    app.include_router(captions.routes(sessions, limits or ApiLimits(), secret_check))
    guard(app, policy, secret_check)
    async with serve_app(app) as address:
        yield address


def tone(seconds: float, rate_hz: int) -> np.ndarray:
    """Return a quiet tone: PCM16 mono."""
    return (np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate_hz)) / rate_hz) * 8000).astype("<i2")


def recording(container: str, codec: str, seconds: float, rate_hz: int = 48_000, layout: str = "mono") -> bytes:
    """Return a tone in a container, made by FFmpeg's muxers."""
    file = BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate_hz)
        stream.layout = layout
        context = stream.codec_context
        size = context.frame_size or 1024
        converter = av.AudioResampler(context.format.name, layout, rate_hz, frame_size=size)
        frame = av.AudioFrame.from_ndarray(tone(seconds, rate_hz).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate_hz, 0
        for converted in (*converter.resample(frame), *converter.resample(None)):
            output.mux(stream.encode(converted))
        output.mux(stream.encode(None))
    return file.getvalue()


def manual_start(**fields: object) -> SessionStart:
    """Return the start of a session with manual turn detection."""
    return SessionStart(turn_detection=TurnDetection.TURN_DETECTION_MANUAL, **fields)
