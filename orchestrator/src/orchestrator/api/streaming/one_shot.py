"""One-shot sessions: send one question to a session of its own, and collect the reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from service_kit.audio import MICROPHONE, SAMPLE_BYTES, SPEECH, to_wav
from service_kit.errors import AnchorError, AtCapacity, PeerFailed, Stopping
from service_kit.tasks import raise_root_cause

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
from orchestrator.conversation.model.conversation import AUTOMATIC
from orchestrator.conversation.model.idle_timeout import IdleTimeout

# A recording is sent in chunks of this length, as from a microphone but faster than real time.
_CHUNK_BYTES = MICROPHONE.bytes_for(100)


@dataclass(frozen=True, slots=True)
class OneShotAnswer:
    """The answer to one question. `pcm` is PCM16 mono 24 kHz; empty when synthesis failed."""

    ticket: str
    turn_id: int
    transcript: str
    reply: str
    language: str
    engine: str
    pcm: bytes
    interrupted: bool
    waterfall: LatencyWaterfall | None
    # The error beside a reply that was cut short, or could not be spoken.
    failure: Error | None

    @property
    def duration_ms(self) -> int:
        """Duration of the speech."""
        return round(SPEECH.ms_of(len(self.pcm)))

    def wav(self) -> bytes:
        """Return the speech as a WAV file."""
        return to_wav(self.pcm, SPEECH)


def one_shot_session_start(
    *, language: str = "", voice: str = "", persona: str = "", ticket: str = "", person_id: str = ""
) -> SessionStart:
    """Return the start of a one-shot session: manual turn end, and delivered audio reported as played."""
    return SessionStart(
        language=language,
        voice=voice,
        persona=persona,
        sample_rate_hz=MICROPHONE.rate_hz,
        reports_playback=True,
        turn_detection=TurnDetection.TURN_DETECTION_MANUAL,
        ticket=ticket,
        person_id=person_id,
    )


async def ask_question(
    sessions: Sessions, start: SessionStart, question: bytes | str, limits: ApiLimits
) -> OneShotAnswer:
    """Answer a question, written or spoken (PCM16 mono 16 kHz), in a session of its own. Raises `AnchorError`."""
    client = _OneShotClient(question, limits)
    longest_s = limits.answer_timeout_s + limits.max_answer_audio_s
    try:
        # Speech that still arrives is waited for: a slow voice takes as long as it speaks.
        async with asyncio.timeout(longest_s), IdleTimeout(limits.answer_timeout_s) as timeout:
            client.on_audio = timeout.reset
            async with sessions.open(start, client) as session, aclosing(client.source()) as source:
                await session.run(source)
    except TimeoutError as error:
        raise PeerFailed("session.answer_timeout", f"no answer within {limits.answer_timeout_s:g} s") from error
    except ExceptionGroup as group:
        raise_root_cause(group)
    except Stopping:
        # The session may have ended with the reply, before the client could leave it.
        if not client.has_whole_reply:
            raise
    return client.answer()


class _OneShotClient:
    """The client of a one-shot session: asks, collects the reply as fast as it comes, and leaves after the turn."""

    def __init__(self, question: bytes | str, limits: ApiLimits) -> None:
        self._question = question
        self._max_bytes = int(limits.max_answer_audio_s * SPEECH.rate_hz) * SAMPLE_BYTES
        self._changed = asyncio.Event()
        # Whether the whole question has been sent; messages before that do not answer it.
        self._question_sent = False
        self._started: SessionStarted | None = None
        self._turn_id: int | None = None
        self._transcript = question if isinstance(question, str) else ""
        self._language = ""
        self._engine = ""
        self._text: list[str] = []
        self._pcm = bytearray()
        # Whether the incoming audio belongs to the question's turn, and the offset in the reply of its next sample.
        self._receiving_own_audio = False
        self._played_ms = 0.0
        self._finished: ReplyFinished | None = None
        self._failure: Error | None = None
        self._error: Error | None = None
        self._waterfall: LatencyWaterfall | None = None
        self._refusal: AtCapacity | None = None
        # Called when a part of the answer's speech has arrived.
        self.on_audio: Callable[[], None] = lambda: None

    async def source(self) -> AsyncGenerator[bytes | Command]:
        """Yield the question, then playback progress as audio arrives, until the turn is over."""
        if isinstance(self._question, str):
            self._question_sent = True
            yield TextInput(self._question)
        else:
            for start in range(0, len(self._question), _CHUNK_BYTES):
                yield self._question[start : start + _CHUNK_BYTES]
            self._question_sent = True
            yield EndTurn()
        cut_off = False
        while self._finished is None and self._refusal is None:
            await self._changed.wait()
            self._changed.clear()
            if self._turn_id is not None and self._played_ms:
                yield PlaybackProgress(self._turn_id, round(self._played_ms))
            if len(self._pcm) >= self._max_bytes and not cut_off:
                cut_off = True
                yield Interrupt()

    async def send(self, message: ServerMessage) -> None:
        match message:
            case SessionStarted():
                self._started = message
                # The transcript tells which language an automatic one is.
                self._language = "" if message.language == AUTOMATIC else message.language
            case Error():
                self._error = message
            case ServiceNotice() if message.active:
                self._error = Error(message.code, message.message, retryable=True)
                if message.code.endswith(".at_capacity") and self._finished is None:
                    # The caller may come again; an apology would look like an answer.
                    self._refusal = AtCapacity(message.code, message.message)
                    self._changed.set()
            case ReplyStarted() if self._turn_id is None and self._question_sent:
                # A phrase of the anchor's own ("I did not catch that") has no committed turn.
                self._turn_id = message.turn_id
                self._engine = message.engine
            case TurnCommitted() if self._question_sent:
                self._turn_id = message.turn_id
                self._transcript = message.text
            case FinalTranscript() if self._turn_id is None:
                self._transcript = message.text
                self._language = message.language or self._language
            case TurnFailed() if self._question_sent and self._turn_id in (None, message.turn_id):
                # A spoken apology may follow; the turn still ends with `reply_finished`.
                self._turn_id = message.turn_id
                self._failure = Error(message.code, message.message, retryable=True)
            case _:
                self._on_reply_message(message)

    def _on_reply_message(self, message: ServerMessage) -> None:
        """Collect the messages of the reply; ignore those of another turn, such as a greeting."""
        if self._turn_id is None or getattr(message, "turn_id", None) != self._turn_id:
            self._receiving_own_audio = self._receiving_own_audio and not isinstance(message, ReplyAudio)
            return
        match message:
            case ReplyStarted():
                # Of a second one for the turn, the captions follow from their beginning.
                self._engine = message.engine
                self._text.clear()
            case ReplyText():
                self._text.append(message.text)
            case ReplyAudio():
                self._receiving_own_audio = True
                # A reply that starts over begins at 0 again.
                del self._pcm[SPEECH.bytes_for(message.offset_ms) :]
                self._played_ms = message.offset_ms
            case ReplyFinished():
                self._finished = message
            case LatencyWaterfall():
                self._waterfall = message
            case _:
                return
        self._changed.set()

    async def send_audio(self, pcm: bytes) -> None:
        if not self._receiving_own_audio:
            return
        self._pcm += pcm[: self._max_bytes - len(self._pcm)]
        self._played_ms += SPEECH.ms_of(len(pcm))
        self.on_audio()
        self._changed.set()

    @property
    def has_whole_reply(self) -> bool:
        """Whether the reply has ended."""
        return self._finished is not None

    def answer(self) -> OneShotAnswer:
        """Return the answer once the session is over. Raises `AnchorError` when there is none."""
        if self._refusal is not None:
            raise self._refusal
        if self._started is None or self._turn_id is None or self._has_no_reply:
            raise self._no_answer_error()
        return OneShotAnswer(
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

    def _no_answer_error(self) -> AnchorError:
        reported = self._failure or self._error
        if reported is None:
            return PeerFailed("session.no_answer", "the session ended without an answer")
        return PeerFailed(reported.code, reported.message)
