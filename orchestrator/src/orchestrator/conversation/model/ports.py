"""The Protocols through which the conversation uses services and clients; `clients`, `llm` and `api` implement them.

Cancellation: a docstring says whether cancelling the method is safe. "Not safe" means that the stream may end with it:
plain gRPC cancels the whole call with a cancelled read or write. Open a new stream then.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self

from service_kit.audio import AudioChunk

from orchestrator.conversation.messages.server import PredictorOpinion, ReplySource, ServerMessage, Style, Word

# ---------------------------------------------------------------------------------------------------------------
# Input


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech began at `at_ms`; the audio to transcribe begins at `pre_roll_start_ms`. Both on the audio clock."""

    at_ms: int
    pre_roll_start_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """Speech ended at `at_ms` on the audio clock."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class TurnEndPredicted:
    """The silence that began at `at_ms` ends the turn with this probability, 0 to 1.

    A silence may get several predictions while it lasts: `silence_ms` is its length at the prediction, 0 if unknown.
    `opinions` are the predictions that were combined, if any.
    """

    at_ms: int
    probability: float
    predictor: str
    silence_ms: int = 0
    opinions: tuple[PredictorOpinion, ...] = ()


VadEvent = SpeechStarted | SpeechStopped | TurnEndPredicted


# How often voice activity says how far it is, in milliseconds of audio, unless it is asked for more.
ACTIVITY_INTERVAL_MS = 500


@dataclass(frozen=True, slots=True)
class AudioAnalysed:
    """The audio up to `until_ms` was analysed: the sign that voice activity works.

    About twice a second of audio, or as often as was asked for.
    """

    until_ms: int
    # The probability of speech there, 0 to 1; None when it is not known.
    probability: float | None = None


class VoiceActivityStream(Protocol):
    """Voice activity of one microphone."""

    async def push_audio(self, chunk: AudioChunk) -> None:
        """Send audio; waits while the service is behind (backpressure). Not safe to cancel."""
        ...

    async def push_transcript(self, text: str, end_ms: int, language: str) -> None:
        """Send the transcript up to `end_ms`, a hint for turn-end prediction. Not safe to cancel.

        `language` is that of the text, ISO 639-1; empty for the stream's.
        """
        ...

    async def request_activity(self, interval_ms: int) -> None:
        """Ask for an `AudioAnalysed` after each `interval_ms` of audio from now on. Not safe to cancel."""
        ...

    def events(self) -> AsyncGenerator[VadEvent | AudioAnalysed]:
        """Yield events until the stream ends. Raises `AnchorError` when the service fails. Not safe to cancel."""
        ...


class VoiceActivity(Protocol):
    """Detects speech and predicts the end of turns."""

    def open(self, language: str) -> AbstractAsyncContextManager[VoiceActivityStream]:
        """Open a stream; leaving the context ends it. Raises `AnchorError` when the service is unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class PartialTranscript:
    """The transcript of a segment up to `end_ms`; may still change."""

    segment_id: int
    text: str
    end_ms: int
    # ISO 639-1; empty while unknown.
    language: str = ""
    # 0 to 1; None where the recogniser has none.
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class FinalTranscript:
    """The transcript of a segment, from its beginning; a higher revision replaces a lower one."""

    segment_id: int
    revision: int
    text: str
    end_ms: int
    language: str = ""
    alternatives: tuple[str, ...] = ()
    confidence: float | None = None
    # The words of the text, with times on the audio clock; empty for engines without word times.
    words: tuple[Word, ...] = ()
    # Probability of `language`, 0 to 1; None for engines that do not detect it or do not report one.
    language_probability: float | None = None


Transcript = PartialTranscript | FinalTranscript


@dataclass(frozen=True, slots=True)
class TranscriptionProgress:
    """Speech-to-text works on the audio received up to `received_ms`.

    One follows within half a second after the opening and after everything that is sent, and twice a second while a
    final is pending.
    """

    received_ms: int


class SpeechToTextStream(Protocol):
    """Recognition of one microphone; segments as in `anchor.stt.v1`."""

    async def push_audio(self, chunk: AudioChunk) -> None:
        """Send audio of the open segment; waits while the service is behind (backpressure). Not safe to cancel."""
        ...

    async def flush_segment(self, segment_id: int) -> None:
        """Request the final transcript of the segment so far. Not safe to cancel."""
        ...

    async def commit_segment(self, segment_id: int) -> None:
        """Close the segment; later audio belongs to the next one. Not safe to cancel."""
        ...

    def transcripts(self) -> AsyncGenerator[Transcript | TranscriptionProgress]:
        """Yield transcripts and signs of work until the stream ends. Raises `AnchorError` when the service fails.

        Not safe to cancel.
        """
        ...


class SpeechToText(Protocol):
    """Transcribes speech."""

    def open(self, language: str) -> AbstractAsyncContextManager[SpeechToTextStream]:
        """Open a stream; leaving the context ends it. Raises `AnchorError` when the service is unavailable."""
        ...


class AudioFilter(Protocol):
    """Filters the audio of one microphone, PCM16 mono 16 kHz; the output is as long as the input."""

    def process(self, pcm: bytes) -> bytes:
        """Process audio of any length; return the filtered samples that are ready, in order."""
        ...

    def flush(self) -> bytes:
        """Return all delayed samples."""
        ...


# ---------------------------------------------------------------------------------------------------------------
# Language model


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the history. A message of the anchor has the heard words only; `interrupted`: cut off there."""

    role: Literal["user", "anchor"]
    text: str
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Persona:
    """A character of the anchor. `voices` and `phrases` are keyed by ISO 639-1 language.

    `phrases` are fixed texts: `greeting`, `did_not_catch`, `apology`, `nothing_known`, and `fallback`, which introduces
    replies of the briefing engine while the language model is unavailable.
    """

    id: str
    name: str
    instructions: str
    voices: Mapping[str, str] = field(default_factory=dict[str, str])
    phrases: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    # One sentence for users who choose a persona.
    description: str = ""

    def phrase(self, name: str, language: str) -> str:
        """The phrase `name` in `language`, or else in English; empty if neither exists."""
        return self.phrases.get(language, {}).get(name) or self.phrases.get("en", {}).get(name, "")


@dataclass(frozen=True, slots=True)
class Prompt:
    """The input of a reply. `alternatives` are other transcripts of `text`, for retrieval only.

    `partial` is the transcript so far of a turn that has no `text` yet; only `LanguageModel.prefill` gets one.

    `history_share` is the share of the context reserved for history that may be used, 0 to 1.
    """

    text: str
    language: str
    persona: Persona
    history: tuple[Message, ...] = ()
    alternatives: tuple[str, ...] = ()
    style: Style = field(default_factory=Style)
    history_share: float = 1.0
    partial: str = ""


class ReplyPiece(str):
    """A piece of a reply that is in another language than the prompt's, or begins text taken from passages.

    A plain `str` is in the prompt's language.
    """

    __slots__ = ("language", "sources")

    language: str
    sources: tuple[ReplySource, ...]

    def __new__(cls, text: str, language: str = "", sources: tuple[ReplySource, ...] = ()) -> Self:
        """`language` is ISO 639-1, empty for the prompt's; `sources` are the passages of this piece and later ones."""
        piece = super().__new__(cls, text)
        piece.language = language
        piece.sources = sources
        return piece

    @classmethod
    def of(cls, text: str) -> ReplyPiece:
        """Return `text` itself if it is a `ReplyPiece`, else one in the prompt's language without sources."""
        return text if isinstance(text, ReplyPiece) else cls(text)


class LanguageModel(Protocol):
    """Generates replies."""

    @property
    def name(self) -> str:
        """The engine's name, as shown to users."""
        ...

    def reply(self, prompt: Prompt) -> AsyncGenerator[str]:
        """Yield the reply in pieces: `ReplyPiece` for those in another language than the prompt's, or with sources.

        Raises `AnchorError`. Cancelling or closing the generator stops generation.
        """
        ...

    async def prefill(self, prompt: Prompt) -> None:
        """Process all of `prompt` except its text, if that makes the reply faster. Raises `AnchorError`.

        Called when the user starts to speak, and then with each partial transcript, which only a model that retrieves
        its notes by it needs. Safe to cancel: the request is stopped.
        """
        ...


# ---------------------------------------------------------------------------------------------------------------
# Speech


@dataclass(frozen=True, slots=True)
class SpeechAudio:
    """Speech, PCM16 mono 24 kHz, that begins `offset_ms` after the reply's first sample."""

    offset_ms: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class SpeechMark:
    """The speech of code points `text_start` to `text_end` of the reply's text begins at `offset_ms`."""

    text_start: int
    text_end: int
    offset_ms: int


@dataclass(frozen=True, slots=True)
class PhraseStarted:
    """The engine starts to synthesise a phrase, code points `text_start` to `text_end`."""

    text_start: int
    text_end: int


Speech = SpeechAudio | SpeechMark | PhraseStarted


class SpeechStream(Protocol):
    """The synthesis of one reply."""

    async def send_text(self, text: str) -> None:
        """Send more of the reply's text; waits while the service is behind (backpressure). Not safe to cancel."""
        ...

    async def end_text(self) -> None:
        """Send the end of the text. Not safe to cancel."""
        ...

    def speech(self) -> AsyncGenerator[Speech]:
        """Yield audio, marks and phrase starts in order, until all text is spoken. Raises `AnchorError`.

        Not safe to cancel.
        """
        ...


class TextToSpeech(Protocol):
    """Synthesises replies."""

    def open(self, voice: str, language: str, style: Style) -> AbstractAsyncContextManager[SpeechStream]:
        """Open a stream for one reply; leaving the context stops it. Raises `AnchorError`."""
        ...


# ---------------------------------------------------------------------------------------------------------------
# The client


class ConnectionDropped(Exception):
    """The client's connection dropped before the session ended; the client may reconnect."""


class PageClosed(ConnectionDropped):
    """The browser page was closed or reloaded; after a reload, the client reconnects within seconds."""


class Client(Protocol):
    """The client of a session, as the API sends to it. One task calls the methods, in order."""

    async def send(self, message: ServerMessage) -> None:
        """Send a message; waits while the client is behind (backpressure). Safe to cancel; it may be sent or not."""
        ...

    async def send_audio(self, pcm: bytes) -> None:
        """Send speech, PCM16 mono 24 kHz; waits while the client is behind. Safe to cancel; it may be sent or not."""
        ...


# ---------------------------------------------------------------------------------------------------------------
# Admission


@dataclass(frozen=True, slots=True)
class Admitted:
    """The caller has a place."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The caller waits in the queue, at `position` from 1, for about `expected_wait_s` seconds."""

    position: int
    expected_wait_s: float


@dataclass(frozen=True, slots=True)
class Refused:
    """The caller has no place and does not wait; it would at `position`, for about `expected_wait_s` seconds."""

    position: int
    expected_wait_s: float


PlaceStatus = Admitted | Waiting | Refused


class CallPlace(Protocol):
    """The place of one session, whether it holds one or not. A place is held by who speaks, or has just spoken."""

    def request(self, *, waits: bool, resumes: bool = False) -> PlaceStatus:
        """Ask for a place for a turn, which the session may hold already; never blocks.

        With `waits`, a caller without a place joins the queue, if that has room. With `resumes`, the turn was admitted
        before, by another process, and is admitted again.
        """
        ...

    def set_in_turn(self, in_turn: bool) -> None:
        """Record whether a turn is in progress: meanwhile the place cannot be given to another caller."""
        ...

    def leave_queue(self) -> None:
        """Stop waiting, if the session waits."""
        ...

    def leave(self) -> None:
        """Give up the place, or the wait for it; the session is over."""
        ...


class CallPlaces(Protocol):
    """The places of all sessions."""

    def open(self, on_change: Callable[[PlaceStatus], None]) -> CallPlace:
        """Add a session, without a place; `on_change` receives its status while it waits, whenever that changes."""
        ...

    def require_room(self) -> None:
        """Raise `AtCapacity` when a caller that does not wait would be refused now."""
        ...
