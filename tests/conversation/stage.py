"""The stage of a conversation test: a user with a mouth and stt, and scripted services, all in memory.

async with stage:
    stage.anchor_will_say("Once upon a time there was a king.")
    await stage.user("tell me a story")
    await stage.until_heard("Once upon")
    await stage.user("stop")
"""

from __future__ import annotations

import asyncio

from orchestrator.conversation.connection.connection import Connection
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from orchestrator.conversation.model.conversation import Conversation, Preferences
from orchestrator.conversation.model.degradation import DegradationBoard, DegradedMode
from orchestrator.conversation.model.observable import Observable
from orchestrator.conversation.model.ports import (
    ConnectionDropped,
    LanguageModel,
    Persona,
    TextToSpeech,
)
from orchestrator.conversation.model.services import Services
from orchestrator.conversation.session.client_connection import ClientConnection, RunningSession
from orchestrator.conversation.session.session import Session
from orchestrator.conversation.turns.endpointing import Endpointing
from orchestrator.conversation.turns.turn import TurnRules
from scripted_peers import WORD_MS, Model, Mouth, Speech, Voice, Words
from service_kit.errors import AnchorError

FRAME_MS = 20
VOICE = b"\x00\x20" * 320
SILENCE = bytes(640)
PERSONA = Persona(
    "anchor",
    "Anna",
    "You are Anna.",
    description="Reads the news.",
    phrases={"en": {"did_not_catch": "Sorry, I did not catch that.", "apology": "Sorry, something broke."}},
)
# Scenarios reckon with these, whatever the defaults are tuned to.
WAITS = Endpointing(floor_ms=100, ceiling_ms=3_000, unjudged_ms=700, steepness=3)


class Ear:
    """The client: plays what it is sent in real time and, if asked to, says how far it is."""

    def __init__(self, stage: Stage, reports: bool) -> None:
        self._stage = stage
        self._reports = reports
        self._loop = asyncio.get_running_loop()
        self.messages: list[tuple[int, server_messages.ServerMessage]] = []
        self.buffer_ms = 0.0
        # All speech that ever came, one reply after the other.
        self.pcm = bytearray()
        # Each reply as it was put together, and how much of it came twice.
        self.replies: dict[int, bytearray] = {}
        self.repeated_bytes = 0
        self._place = 0
        # Nothing arrives any more, and nobody knows yet.
        self.deaf = False
        self.played: dict[int, float] = {}
        self.turn_id = 0
        self.paused = False
        self.last_frame_s = 0.0
        self.news = asyncio.Event()

    def cut_off(self) -> None:
        self.deaf = True

    async def send(self, message) -> None:
        if self.deaf:
            return
        self.messages.append((round(self._loop.time() * 1000), message))
        match message:
            case server_messages.ReplyAudio():
                self._place_reply(message.turn_id, message.offset_ms)
            case server_messages.PlaybackPause():
                self.paused = self._reports
            case server_messages.PlaybackResume():
                self.paused = False
            case server_messages.PlaybackStop():
                self.buffer_ms = 0.0 if self._reports else self.buffer_ms
        self.news.set()

    def _place_reply(self, turn_id: int, offset_ms: int) -> None:
        played_ms = self.played.setdefault(turn_id, float(offset_ms))
        self.buffer_ms = min(self.buffer_ms, max(0.0, offset_ms - played_ms)) if turn_id == self.turn_id else 0.0
        self.turn_id, self._place, self.paused = turn_id, offset_ms * 48, False
        # What is not known of it is silence.
        self.replies.setdefault(turn_id, bytearray(self._place))

    def received(self) -> client_messages.ReplyReceived:
        """Up to where this client has the reply."""
        return client_messages.ReplyReceived(self.turn_id, len(self.replies[self.turn_id]) // 48)

    async def send_audio(self, pcm) -> None:
        if self.deaf:
            return
        self.buffer_ms += len(pcm) / 48
        self.pcm += pcm
        reply = self.replies[self.turn_id]
        assert self._place <= len(reply), "a gap"
        self.repeated_bytes += len(reply) - self._place
        reply[self._place :] = pcm
        self._place += len(pcm)
        self.last_frame_s = self._loop.time()
        self.news.set()

    async def play(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            step = 0.0 if self.paused else min(20.0, self.buffer_ms)
            if not step:
                continue
            self.buffer_ms -= step
            self.played[self.turn_id] += step
            if self._reports and round(self.played[self.turn_id]) % 100 == 0:
                self._stage.command(client_messages.PlaybackProgress(self.turn_id, round(self.played[self.turn_id])))

    def of(self, kind):
        """All messages of a kind, in order."""
        return [message for _, message in self.messages if isinstance(message, kind)]


class Stage:
    """One session under test."""

    def __init__(self) -> None:
        self.mouth = Mouth()
        self.voice = Voice()
        self.words = Words(self.mouth)
        self.model = Model()
        self.speech = Speech()
        self.fallback_tts: tuple[Speech, ...] = ()
        # What stands before the voice and the model, if anything.
        self.main_voice: TextToSpeech | None = None
        self.thinker: LanguageModel | None = None
        self.audio_filter = lambda: None
        self.savings = DegradedMode
        self.degradation_board = DegradationBoard()
        self.voices = Observable[tuple[server_messages.VoiceChoice, ...]](())
        self.rules = TurnRules(WAITS)
        self.reports_playback = True
        self.manual = False
        self.conversation = Conversation("ticket", Preferences("en", "", "anchor"))
        self._loud = False
        self._muted = False
        self._commands: list[client_messages.Command] = []
        self._over = False
        self._dropped = False
        # The connection is dead: the client keeps its frames.
        self._holds = False
        self._kept: list[bytes] = []
        self.resume_s = 30.0
        self.failure: AnchorError | None = None

    async def __aenter__(self) -> Stage:
        self.ear = Ear(self, self.reports_playback)
        detection = (
            client_messages.TurnDetection.TURN_DETECTION_MANUAL if self.manual else client_messages.TurnDetection(1)
        )
        start = client_messages.SessionStart(reports_playback=self.reports_playback, turn_detection=detection)
        services = Services(
            voice_activity=self.voice,
            speech_to_text=self.words,
            language_model=lambda: self.thinker or self.model,
            text_to_speech=self.main_voice or self.speech,
            fallback_tts=self.fallback_tts,
            personas={"anchor": PERSONA},
            system_status=self._status,
            audio_filter=self.audio_filter,
            degraded_mode=self.savings,
            degradation_board=self.degradation_board,
            voices=self.voices,
        )
        self.session = Session(
            services=services, rules=self.rules, conversation=self.conversation, start=start, resume_s=self.resume_s
        )
        self.running = RunningSession(self.session, asyncio.create_task(self.session.run()))
        self._playing = asyncio.create_task(self.ear.play())
        self.attending = asyncio.create_task(self._attend(Connection(self.ear)))
        return self

    async def __aexit__(self, *_) -> None:
        self._over = True
        await self.attending
        await asyncio.wait([self.running.task])
        self._playing.cancel()
        await asyncio.wait([self._playing])

    async def _attend(self, connection: Connection) -> None:
        attendance = ClientConnection(self.running, connection, resumable=True)
        try:
            await attendance.run(self._source())
        except AnchorError as error:
            self.failure = error
        await attendance.disconnect()

    async def drop(self) -> None:
        """The connection breaks off; the client keeps what it has."""
        self._dropped = True
        await self.attending
        self._dropped = False

    def come_back(self, *, reloaded: bool = False, claim: client_messages.ReplyReceived | None = None) -> None:
        """The client is there again, with what it had, or as a page that was loaded anew."""
        if reloaded:
            self._playing.cancel()
            self.ear = Ear(self, self.reports_playback)
            self._playing = asyncio.create_task(self.ear.play())
        self.ear.deaf = False
        received = claim or (self.ear.received() if self.ear.turn_id else None)
        self.attending = asyncio.create_task(self._attend(Connection(self.ear, received)))

    async def _status(self) -> server_messages.SystemStatus:
        return server_messages.SystemStatus((), degraded=self.degradation_board.degraded)

    async def _source(self):
        """An open microphone: a frame every 20 ms, sound or silence; and the commands."""
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        while not self._over:
            if self._dropped:
                self._holds = False
                raise ConnectionDropped
            for command in self._commands:
                yield command
            self._commands.clear()
            if not self._muted:
                self._kept.append(VOICE if self._loud else SILENCE)
            if not self._holds:
                for frame in self._kept:
                    yield frame
                self._kept.clear()
            next_s += FRAME_MS / 1000
            await asyncio.sleep(next_s - loop.time())

    # What a test says -----------------------------------------------------------------------------------------------

    def anchor_will_say(self, *replies: str) -> None:
        self.model.replies = list(replies)

    def command(self, command: client_messages.Command) -> None:
        self._commands.append(command)

    async def user(self, text: str) -> None:
        """Speak, a word every 200 ms."""
        for word in text.split():
            await self._sound(True, WORD_MS - 40)
            self.mouth.words.append(word)
            await self._sound(True, 40)
        self._loud = False

    async def noise(self, ms: int) -> None:
        """A sound without words."""
        await self._sound(True, ms)
        self._loud = False

    async def silence(self, ms: int) -> None:
        await self._sound(False, ms)

    async def mute(self) -> None:
        """The microphone stops sending, without a word."""
        self._muted = True

    def hold_audio(self) -> None:
        """From now on, frames of the microphone come only when the client comes back."""
        self._holds = True

    async def unmute(self) -> None:
        self._muted = False

    async def _sound(self, loud: bool, ms: int) -> None:
        self._loud = loud
        await asyncio.sleep(ms / 1000)

    async def until(self, kind, count: int = 1, within_s: float = 30.0):
        """Wait for the `count`-th message of a kind."""
        async with asyncio.timeout(within_s):
            while len(found := self.ear.of(kind)) < count:
                self.ear.news.clear()
                await self.ear.news.wait()
        return found[count - 1]

    async def until_played(self, ms: int) -> None:
        """Wait until so much of the present reply has been heard."""
        await self.until(server_messages.ReplyAudio)
        while self.ear.played.get(self.ear.turn_id, 0) < ms:
            await asyncio.sleep(0.02)

    @property
    def now_ms(self) -> int:
        return round(asyncio.get_running_loop().time() * 1000)

    @property
    def history(self) -> list[tuple[str, str]]:
        return [(message.role, message.text) for message in self.conversation.messages]

    def log(self) -> str:
        """The messages that the client received, with their times, without the words of the reply; for snapshots."""
        quiet = (
            server_messages.ReplyText,
            server_messages.SpeechMark,
            server_messages.PartialTranscript,
            server_messages.SessionStarted,
            server_messages.LatencyWaterfall,
            server_messages.Choices,
        )
        connections = [
            f"{at_ms:6d} {message}" for at_ms, message in self.ear.messages if not isinstance(message, quiet)
        ]
        return "\n".join(connections) + "\n"
