"""One question, one answer: a whole session for doors that want nothing but the reply."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from io import BytesIO

from service_kit.audio import MICROPHONE, SAMPLE_BYTES, SPEECH
from service_kit.errors import AnchorError, PeerFailed, root_cause

from orchestrator.api.limits import ApiLimits
from orchestrator.api.ports import Sessions
from orchestrator.conversation.messages.client import (
    Command,
    EndTurn,
    Interrupt,
    PlaybackProgress,
    SessionStart,
    TextInput,
    TurnDetection,
)
from orchestrator.conversation.messages.server import (
    Error,
    FinalTranscript,
    LatencyWaterfall,
    ReplyAudio,
    ReplyFinished,
    ReplyStarted,
    ReplyText,
    ServerMessage,
    ServiceNotice,
    SessionStarted,
    TurnCommitted,
    TurnFailed,
)

# A recording is fed in pieces of this length, as a microphone would be, only faster.
_PIECE_BYTES = MICROPHONE.bytes_for(100)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question. `pcm` is PCM16 mono 24 kHz; empty when the reply could not be spoken."""

    ticket: str
    turn_id: int
    transcript: str
    reply: str
    language: str
    engine: str
    pcm: bytes
    interrupted: bool
    waterfall: LatencyWaterfall | None
    # What went wrong although there is a reply: it broke off, or could not be spoken.
    failure: Error | None

    @property
    def duration_ms(self) -> int:
        """Length of the speech."""
        return round(SPEECH.ms_of(len(self.pcm)))

    def wav(self) -> bytes:
        """The speech as a WAV file."""
        file = BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(SAMPLE_BYTES)
            writer.setframerate(SPEECH.rate_hz)
            writer.writeframes(self.pcm)
        return file.getvalue()


def one_shot_start(*, language: str = "", voice: str = "", persona: str = "", ticket: str = "") -> SessionStart:
    """The opening of an exchange: its turn is over when the question is, and what is delivered counts as heard."""
    return SessionStart(
        language=language,
        voice=voice,
        persona=persona,
        sample_rate_hz=MICROPHONE.rate_hz,
        reports_playback=True,
        turn_detection=TurnDetection.TURN_DETECTION_MANUAL,
        ticket=ticket,
    )


async def ask(sessions: Sessions, start: SessionStart, question: bytes | str, limits: ApiLimits) -> Answer:
    """The answer to a question in writing, or spoken (PCM16 mono 16 kHz). Raises `AnchorError`."""
    exchange = _OneShotClient(question, limits)
    try:
        async with asyncio.timeout(limits.answer_s):
            async with sessions.open(start, exchange) as session, aclosing(exchange.source()) as source:
                await session.run(source)
    except TimeoutError as error:
        raise PeerFailed("session.answer_timeout", f"no answer within {limits.answer_s:g} s") from error
    except ExceptionGroup as group:
        raise root_cause(group) from group
    return exchange.answer()


class _OneShotClient:
    """The client of an exchange: asks, takes everything at once, and leaves when the turn is over."""

    def __init__(self, question: bytes | str, limits: ApiLimits) -> None:
        self._question = question
        self._most_bytes = int(limits.answer_audio_s * SPEECH.rate_hz) * SAMPLE_BYTES
        self._news = asyncio.Event()
        # Whether the question has been put in full: nothing before that is an answer to it.
        self._asked = False
        self._started: SessionStarted | None = None
        self._turn_id: int | None = None
        self._transcript = question if isinstance(question, str) else ""
        self._language = ""
        self._engine = ""
        self._text: list[str] = []
        self._pcm = bytearray()
        # Whether the audio that arrives belongs to our turn, and where in the reply its next sample stands.
        self._ours = False
        self._played_ms = 0.0
        self._finished: ReplyFinished | None = None
        self._failure: Error | None = None
        self._error: Error | None = None
        self._waterfall: LatencyWaterfall | None = None

    async def source(self) -> AsyncGenerator[bytes | Command]:
        """The question, then reports of what was delivered, until the turn is over."""
        if isinstance(self._question, str):
            self._asked = True
            yield TextInput(self._question)
        else:
            for start in range(0, len(self._question), _PIECE_BYTES):
                yield self._question[start : start + _PIECE_BYTES]
            self._asked = True
            yield EndTurn()
        cut_off = False
        while self._finished is None:
            await self._news.wait()
            self._news.clear()
            if self._turn_id is not None and self._played_ms:
                yield PlaybackProgress(self._turn_id, round(self._played_ms))
            if len(self._pcm) >= self._most_bytes and not cut_off:
                cut_off = True
                yield Interrupt()

    async def send(self, message: ServerMessage) -> None:
        match message:
            case SessionStarted():
                self._started = message
                self._language = self._language or message.language
            case Error():
                self._error = message
            case ServiceNotice() if message.active:
                self._error = Error(message.code, message.message, retryable=True)
            case ReplyStarted() if self._turn_id is None and self._asked:
                # What the anchor says by itself ("I did not catch that") has no committed turn.
                self._turn_id = message.turn_id
                self._engine = message.engine
            case TurnCommitted() if self._asked:
                self._turn_id = message.turn_id
                self._transcript = message.text
            case FinalTranscript() if self._turn_id is None:
                self._transcript = message.text
                self._language = message.language or self._language
            case TurnFailed() if self._asked and self._turn_id in (None, message.turn_id):
                # The apology may still be spoken: the turn is over with `reply_finished`, as always.
                self._turn_id = message.turn_id
                self._failure = Error(message.code, message.message, retryable=True)
            case _:
                self._take_reply(message)

    def _take_reply(self, message: ServerMessage) -> None:
        """Take what belongs to the reply; anything of another turn (a greeting, say) is not ours."""
        if self._turn_id is None or getattr(message, "turn_id", None) != self._turn_id:
            self._ours = self._ours and not isinstance(message, ReplyAudio)
            return
        match message:
            case ReplyStarted():
                self._engine = message.engine
            case ReplyText():
                self._text.append(message.text)
            case ReplyAudio():
                self._ours = True
                self._played_ms = message.offset_ms
            case ReplyFinished():
                self._finished = message
            case LatencyWaterfall():
                self._waterfall = message
            case _:
                return
        self._news.set()

    async def send_audio(self, pcm: bytes) -> None:
        if not self._ours:
            return
        self._pcm += pcm[: self._most_bytes - len(self._pcm)]
        self._played_ms += SPEECH.ms_of(len(pcm))
        self._news.set()

    def answer(self) -> Answer:
        """The answer, once the session is over. Raises `AnchorError` when there is none."""
        if self._started is None or self._turn_id is None or self._has_no_reply:
            raise self._shortfall()
        return Answer(
            ticket=self._started.ticket,
            turn_id=self._turn_id,
            transcript=self._transcript,
            reply="".join(self._text),
            language=self._language,
            engine=self._engine,
            pcm=bytes(self._pcm),
            interrupted=self._finished is None or self._finished.interrupted,
            waterfall=self._waterfall,
            failure=self._failure or (None if self._pcm else self._error),
        )

    @property
    def _has_no_reply(self) -> bool:
        return not self._text and (self._finished is None or self._failure is not None)

    def _shortfall(self) -> AnchorError:
        reported = self._failure or self._error
        if reported is None:
            return PeerFailed("session.no_answer", "the session ended without an answer")
        return PeerFailed(reported.code, reported.message)
