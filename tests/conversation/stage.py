"""The stage of a conversation test: one session with a simulated user, a playing client and scripted services.

async with stage:
    stage.anchor_will_say("Once upon a time there was a king.")
    await stage.user("tell me a story")
    await stage.until_played(600)
    await stage.user("stop")
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from orchestrator.conversation.connection.connection import Connection
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from orchestrator.conversation.model.conversation import Conversation, Preferences
from orchestrator.conversation.model.degradation import DegradationBoard, DegradedMode
from orchestrator.conversation.model.observable import Observable
from orchestrator.conversation.model.ports import (
    CallPlaces,
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
from scripted_services import WORD_MS, ScriptedLlm, ScriptedStt, ScriptedTts, ScriptedVad, UserSpeech
from service_kit.errors import AnchorError

FRAME_MS = 20
# Without an offset, which is no sound.
LOUD_FRAME = b"\x00\x20\x00\xe0" * 160
SILENT_FRAME = bytes(640)
PERSONA = Persona(
    "anchor",
    "Anna",
    "You are Anna.",
    description="Reads the news.",
    phrases={"en": {"did_not_catch": "Sorry, I did not catch that.", "apology": "Sorry, something broke."}},
)
# Fixed waits: scenarios do not depend on tuned defaults.
WAITS = Endpointing(floor_ms=100, ceiling_ms=3_000, unjudged_ms=700, steepness=3)


class PlayingClient:
    """A client that plays received audio in real time and, with `reports`, reports its playback position.

    Playback of a reply begins `stage.output_delay_ms` after its first frame; reports take `stage.report_delay_ms`.
    """

    def __init__(self, stage: Stage, reports: bool) -> None:
        self._stage = stage
        self._reports = reports
        self._loop = asyncio.get_running_loop()
        self.messages: list[tuple[int, server_messages.ServerMessage]] = []
        self.buffer_ms = 0.0
        # All received audio, one reply after the other.
        self.pcm = bytearray()
        # The audio of each reply as assembled from its offsets, and the bytes that arrived twice.
        self.replies: dict[int, bytearray] = {}
        self.repeated_bytes = 0
        self._write_at = 0
        # Messages and audio are lost, and the sender has not noticed.
        self.unreachable = False
        self.played: dict[int, float] = {}
        # How much of a reply was played at each `playback_stop`.
        self.stopped_after_ms: list[float] = []
        self._audio_began_s = 0.0
        self.turn_id = 0
        self.paused = False
        self.last_frame_s = 0.0
        self.changed = asyncio.Event()

    def lose_messages(self) -> None:
        self.unreachable = True

    async def send(self, message) -> None:
        if self.unreachable:
            return
        self.messages.append((round(self._loop.time() * 1000), message))
        match message:
            case server_messages.ReplyAudio():
                self._start_reply_audio(message.turn_id, message.offset_ms)
            case server_messages.PlaybackPause():
                self.paused = self._reports
            case server_messages.PlaybackResume():
                self.paused = False
            case server_messages.PlaybackStop():
                self.stopped_after_ms.append(self.played.get(self.turn_id, 0.0))
                if self._reports:
                    # What follows for this turn is another reply.
                    self.buffer_ms = 0.0
                    self.played.pop(message.turn_id, None)
                    self.replies.pop(message.turn_id, None)
        self.changed.set()

    def _start_reply_audio(self, turn_id: int, offset_ms: int) -> None:
        played_ms = self.played.setdefault(turn_id, float(offset_ms))
        self.buffer_ms = min(self.buffer_ms, max(0.0, offset_ms - played_ms)) if turn_id == self.turn_id else 0.0
        self.turn_id, self._write_at, self.paused = turn_id, offset_ms * 48, False
        self._audio_began_s = self._loop.time()
        # Audio before the first offset is silence.
        self.replies.setdefault(turn_id, bytearray(self._write_at))

    def received(self) -> client_messages.ReplyReceived:
        """The end of the audio that this client has of the current reply."""
        return client_messages.ReplyReceived(self.turn_id, len(self.replies[self.turn_id]) // 48)

    async def send_audio(self, pcm) -> None:
        if self.unreachable:
            return
        self.buffer_ms += len(pcm) / 48
        self.pcm += pcm
        reply = self.replies[self.turn_id]
        assert self._write_at <= len(reply), "a gap"
        self.repeated_bytes += len(reply) - self._write_at
        reply[self._write_at :] = pcm
        self._write_at += len(pcm)
        self.last_frame_s = self._loop.time()
        self.changed.set()

    async def play(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            begins = self._loop.time() >= self._audio_began_s + self._stage.output_delay_ms / 1000
            step = 0.0 if self.paused or not begins else min(20.0, self.buffer_ms)
            if not step:
                continue
            self.buffer_ms -= step
            self.played[self.turn_id] += step
            if self._reports and round(self.played[self.turn_id]) % 100 == 0:
                self._report(client_messages.PlaybackProgress(self.turn_id, round(self.played[self.turn_id])))

    def _report(self, progress: client_messages.PlaybackProgress) -> None:
        if not self._stage.withholds_reports and not self._stage.report_delay_ms:
            self._stage.command(progress)
        elif not self._stage.withholds_reports:
            self._loop.call_later(self._stage.report_delay_ms / 1000, self._stage.command, progress)

    def of_type(self, kind):
        """All messages of a kind, in order."""
        return [message for _, message in self.messages if isinstance(message, kind)]


class Stage:
    """One session under test."""

    def __init__(self) -> None:
        self.user_speech = UserSpeech()
        self.vad = ScriptedVad()
        self.stt = ScriptedStt(self.user_speech)
        self.llm = ScriptedLlm()
        self.tts = ScriptedTts()
        self.fallback_tts: tuple[ScriptedTts, ...] = ()
        # Wrappers of the TTS and the LLM, if any.
        self.main_tts: TextToSpeech | None = None
        self.main_llm: LanguageModel | None = None
        self.audio_filter = lambda: None
        self.degraded_mode = DegradedMode
        self.degradation_board = DegradationBoard()
        self.sheds_speculation = False
        self.sample_questions: Mapping[str, tuple[str, ...]] = {}
        self.voices = Observable[tuple[server_messages.VoiceChoice, ...]](())
        self.rules = TurnRules(WAITS)
        self.persona = PERSONA
        self.reports_playback = True
        self.output_delay_ms = self.report_delay_ms = 0
        self.withholds_reports = False
        self.places: CallPlaces | None = None
        self.waits = False
        self.manual = False
        self.conversation = Conversation("ticket", Preferences("en", "", "anchor"))
        self._loud = False
        self._muted = False
        self._commands: list[client_messages.Command] = []
        self._ended = False
        self._disconnected = False
        # The connection is dead: microphone frames wait in the client.
        self._holds_audio = False
        self._held_audio: list[bytes] = []
        self.resume_s = 30.0
        self.failure: AnchorError | None = None

    async def __aenter__(self) -> Stage:
        self.client = PlayingClient(self, self.reports_playback)
        detection = (
            client_messages.TurnDetection.TURN_DETECTION_MANUAL if self.manual else client_messages.TurnDetection(1)
        )
        start = client_messages.SessionStart(
            reports_playback=self.reports_playback, turn_detection=detection, waits=self.waits
        )
        services = Services(
            voice_activity=self.vad,
            speech_to_text=self.stt,
            language_model=lambda: self.main_llm or self.llm,
            text_to_speech=self.main_tts or self.tts,
            fallback_tts=self.fallback_tts,
            personas={"anchor": self.persona},
            system_status=self._status,
            audio_filter=self.audio_filter,
            degraded_mode=self.degraded_mode,
            degradation_board=self.degradation_board,
            voices=self.voices,
            sheds_speculation=lambda: self.sheds_speculation,
            sample_questions=lambda: self.sample_questions,
        )
        self.session = Session(
            services=services,
            rules=self.rules,
            conversation=self.conversation,
            start=start,
            places=self.places,
            resume_s=self.resume_s,
        )
        self.running = RunningSession(self.session, asyncio.create_task(self.session.run()))
        self._playing = asyncio.create_task(self.client.play())
        self.connection_task = asyncio.create_task(self._serve(Connection(self.client)))
        return self

    async def __aexit__(self, *_) -> None:
        self._ended = True
        await self.connection_task
        await asyncio.wait([self.running.task])
        self._playing.cancel()
        await asyncio.wait([self._playing])

    async def _serve(self, connection: Connection) -> None:
        client_connection = ClientConnection(self.running, connection, resumable=True)
        try:
            await client_connection.run(self._source())
        except AnchorError as error:
            self.failure = error
        await client_connection.disconnect()

    async def disconnect(self) -> None:
        """Drop the connection; the client keeps its audio."""
        self._disconnected = True
        await self.connection_task
        self._disconnected = False

    def reconnect(self, *, reloaded: bool = False, received: client_messages.ReplyReceived | None = None) -> None:
        """Reconnect the client, with the audio that it has, or as a reloaded page without any."""
        if reloaded:
            self._playing.cancel()
            self.client = PlayingClient(self, self.reports_playback)
            self._playing = asyncio.create_task(self.client.play())
        self.client.unreachable = False
        received = received or (self.client.received() if self.client.turn_id else None)
        self.connection_task = asyncio.create_task(self._serve(Connection(self.client, received)))

    async def _status(self) -> server_messages.SystemStatus:
        return server_messages.SystemStatus((), degraded=self.degradation_board.degraded)

    async def _source(self):
        """The client's input: a microphone frame every 20 ms, loud or silent, and the commands."""
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        while not self._ended:
            if self._disconnected:
                self._holds_audio = False
                raise ConnectionDropped
            for command in self._commands:
                yield command
            self._commands.clear()
            if not self._muted:
                self._held_audio.append(LOUD_FRAME if self._loud else SILENT_FRAME)
            if not self._holds_audio:
                for frame in self._held_audio:
                    yield frame
                self._held_audio.clear()
            next_s += FRAME_MS / 1000
            await asyncio.sleep(next_s - loop.time())

    # Called by tests ------------------------------------------------------------------------------------------------

    def anchor_will_say(self, *replies: str) -> None:
        self.llm.replies = list(replies)

    def command(self, command: client_messages.Command) -> None:
        self._commands.append(command)

    async def user(self, text: str) -> None:
        """Speak, a word every 200 ms."""
        for word in text.split():
            await self._make_sound(True, WORD_MS - 40)
            self.user_speech.words.append(word)
            await self._make_sound(True, 40)
        self._loud = False

    async def ask(self, text: str) -> server_messages.ReplyAudio:
        """Speak, and wait for the first audio of the reply."""
        replies = len(self.client.of_type(server_messages.ReplyAudio))
        await self.user(text)
        return await self.until(server_messages.ReplyAudio, replies + 1)

    async def noise(self, ms: int) -> None:
        """Make a sound without words."""
        await self._make_sound(True, ms)
        self._loud = False

    async def silence(self, ms: int) -> None:
        await self._make_sound(False, ms)

    async def mute(self) -> None:
        """Stop sending microphone audio."""
        self._muted = True

    async def unmute(self) -> None:
        """Send microphone audio again."""
        self._muted = False

    def hold_audio(self) -> None:
        """Hold microphone frames back until the client reconnects."""
        self._holds_audio = True

    async def _make_sound(self, loud: bool, ms: int) -> None:
        self._loud = loud
        await asyncio.sleep(ms / 1000)

    async def until(self, kind, count: int = 1, within_s: float = 30.0):
        """Wait for the `count`-th message of a kind."""
        async with asyncio.timeout(within_s):
            while len(found := self.client.of_type(kind)) < count:
                self.client.changed.clear()
                await self.client.changed.wait()
        return found[count - 1]

    async def until_played(self, ms: int) -> None:
        """Wait until the client has played this much of the current reply."""
        await self.until(server_messages.ReplyAudio)
        while self.client.played.get(self.client.turn_id, 0) < ms:
            await asyncio.sleep(0.02)

    @property
    def now_ms(self) -> int:
        return round(asyncio.get_running_loop().time() * 1000)

    @property
    def history(self) -> list[tuple[str, str]]:
        return [(message.role, message.text) for message in self.conversation.messages]
