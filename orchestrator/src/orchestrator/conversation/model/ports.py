"""What the conversation needs of the world, as Protocols. Clients, engines and edges implement them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from service_kit.audio import AudioChunk

from orchestrator.conversation.messages.server import PredictorOpinion, ServerMessage, Style, Word

# ---------------------------------------------------------------------------------------------------------------
# Hearing


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech began `at_ms`; audio worth transcribing begins at `pre_roll_start_ms`. Both on the audio clock."""

    at_ms: int
    pre_roll_start_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """Speech gave way to silence `at_ms` on the audio clock."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class TurnEndPredicted:
    """The silence that began `at_ms` ends the turn with this probability, 0 to 1.

    The same silence may be judged again as it goes on: `silence_ms` is its length when it was judged, 0 when that is
    not known. `opinions` are the parts of the prediction, where it has any.
    """

    at_ms: int
    probability: float
    predictor: str
    silence_ms: int = 0
    opinions: tuple[PredictorOpinion, ...] = ()


VadEvent = SpeechStarted | SpeechStopped | TurnEndPredicted


class VoiceActivityStream(Protocol):
    """Voice activity of one microphone."""

    async def push_audio(self, chunk: AudioChunk) -> None:
        """Take audio; waits while the peer is behind."""
        ...

    async def push_transcript(self, text: str, end_ms: int) -> None:
        """Take what has been recognised so far, as a hint for end-of-turn prediction."""
        ...

    def events(self) -> AsyncGenerator[VadEvent]:
        """Events as they are found. Raises `AnchorError` when the peer fails."""
        ...


class VoiceActivity(Protocol):
    """Tells speech from silence."""

    def open(self, language: str) -> AbstractAsyncContextManager[VoiceActivityStream]: ...


@dataclass(frozen=True, slots=True)
class PartialTranscript:
    """What has been recognised of a segment so far."""

    segment_id: int
    text: str
    end_ms: int


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
    # Of the text, on the audio clock; empty where the engine has no times.
    words: tuple[Word, ...] = ()
    # How sure the engine is of `language`; None where it has not told it, or does not say.
    language_probability: float | None = None


Transcript = PartialTranscript | FinalTranscript


class SpeechToTextStream(Protocol):
    """Recognition of one microphone; segments as in `anchor.stt.v1`."""

    async def push_audio(self, chunk: AudioChunk) -> None: ...

    async def flush_segment(self, segment_id: int) -> None: ...

    async def commit_segment(self, segment_id: int) -> None: ...

    def transcripts(self) -> AsyncGenerator[Transcript]:
        """Transcripts as they are found. Raises `AnchorError` when the peer fails."""
        ...


class SpeechToText(Protocol):
    """Makes words of speech."""

    def open(self, language: str) -> AbstractAsyncContextManager[SpeechToTextStream]: ...


class AudioFilter(Protocol):
    """Makes one microphone easier to hear. Audio is PCM16 mono 16 kHz; what comes out is as long as what went in."""

    def process(self, pcm: bytes) -> bytes:
        """Take audio of any length; return what is ready, each sample in its order and none twice."""
        ...

    def flush(self) -> bytes:
        """All that is held back, when no more is to be waited for."""
        ...


# ---------------------------------------------------------------------------------------------------------------
# Thinking


@dataclass(frozen=True, slots=True)
class Message:
    """One past contribution. Of the anchor's, only what was heard; `interrupted` when it was cut off there."""

    role: Literal["user", "anchor"]
    text: str
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Persona:
    """Who the anchor is. `voices` and `phrases` are keyed by ISO 639-1 language.

    `phrases` holds what the anchor says by itself: `greeting`, `did_not_catch`, `apology`, `nothing_known`,
    `fallback` (said before the briefing answers in the language model's place).
    """

    id: str
    name: str
    instructions: str
    voices: Mapping[str, str] = field(default_factory=dict[str, str])
    phrases: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    # Who that is, in a sentence, for people who choose.
    description: str = ""

    def phrase(self, name: str, language: str) -> str:
        """The phrase `name` in `language`, in English where there is none; empty where there is neither."""
        return self.phrases.get(language, {}).get(name) or self.phrases.get("en", {}).get(name, "")


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a reply is made from. `alternatives` are other readings of `text`, for retrieval only.

    `history_share` is how much of the room for the history may be used, 0 to 1.
    """

    text: str
    language: str
    persona: Persona
    history: tuple[Message, ...] = ()
    alternatives: tuple[str, ...] = ()
    style: Style = field(default_factory=Style)
    history_share: float = 1.0


class LanguageModel(Protocol):
    """Makes replies."""

    @property
    def name(self) -> str:
        """The engine, as people are told."""
        ...

    def reply(self, prompt: Prompt) -> AsyncGenerator[str]:
        """Yield the reply in pieces; closing the generator stops generation. Raises `AnchorError`."""
        ...

    async def prefill(self, prompt: Prompt) -> None:
        """Read all of `prompt` but its text ahead, where that makes the reply sooner. Raises `AnchorError`."""
        ...


# ---------------------------------------------------------------------------------------------------------------
# Speaking


@dataclass(frozen=True, slots=True)
class SpeechAudio:
    """A run of speech: PCM16 mono 24 kHz, `offset_ms` from the reply's first sample."""

    offset_ms: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class SpeechMark:
    """Code points `text_start` to `text_end` of the reply's text begin to sound at `offset_ms`."""

    text_start: int
    text_end: int
    offset_ms: int


@dataclass(frozen=True, slots=True)
class PhraseStarted:
    """There was enough text for a phrase, code points `text_start` to `text_end`; the engine begins to speak it."""

    text_start: int
    text_end: int


Speech = SpeechAudio | SpeechMark | PhraseStarted


class SpeechStream(Protocol):
    """One reply being spoken."""

    async def send_text(self, text: str) -> None:
        """Take more of the reply's text."""
        ...

    async def end_text(self) -> None:
        """All text has been said."""
        ...

    def speech(self) -> AsyncGenerator[Speech]:
        """Yield audio, marks and phrase starts in order, until all text is spoken. Raises `AnchorError`."""
        ...


class TextToSpeech(Protocol):
    """Speaks replies."""

    def open(self, voice: str, language: str, style: Style) -> AbstractAsyncContextManager[SpeechStream]:
        """Begin a reply; leaving the context stops it."""
        ...


# ---------------------------------------------------------------------------------------------------------------
# The client


class ConnectionDropped(Exception):
    """The client's connection broke off: nobody hung up, and somebody may come back."""


class PageClosed(ConnectionDropped):
    """The client says that its page goes away: one that is loaded anew is back at once, one that is closed never."""


class Client(Protocol):
    """The other end of a session, behind a door. Called by one task, in order; waiting is backpressure."""

    async def send(self, message: ServerMessage) -> None: ...

    async def send_audio(self, pcm: bytes) -> None:
        """Send speech: PCM16 mono 24 kHz."""
        ...
