"""The speech-to-text engine protocol and its value types."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from service_kit.audio import AudioChunk
from service_kit.engines.info import EngineInfo


@dataclass(frozen=True, slots=True)
class TranscriptionConfig:
    """Configuration of one microphone; `language` is ISO 639-1, empty to let the engine detect it."""

    language: str = ""
    partial_transcripts: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of speech that is transcribed as one, and the span of its audio so far, on the audio clock."""

    id: int
    start_ms: int = 0
    end_ms: int = 0


class LanguageSource(Enum):
    """How the language of a transcript was determined; the values are those of the proto's enum."""

    UNKNOWN = 0
    CONFIG = 1
    ENGINE = 2
    TEXT = 3


@dataclass(frozen=True, slots=True)
class Word:
    """A word, spoken from `start_ms` to `end_ms`."""

    text: str
    start_ms: int
    end_ms: int
    # 0 to 1; None where the engine has none.
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class PartialTranscript:
    """The segment's text so far; replaces the previous partial."""

    segment: Segment
    text: str
    language: str = ""
    # 0 to 1; None where the engine has none.
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class FinalTranscript:
    """The segment's text, from its beginning; empty when it has no words."""

    segment: Segment
    text: str
    # Other transcripts of the same audio, best first.
    alternatives: tuple[str, ...] = ()
    language: str = ""
    language_source: LanguageSource = LanguageSource.UNKNOWN
    # 0 to 1; None where the engine has none.
    confidence: float | None = None
    # The words of the text, in order, on the audio clock; empty where the engine has no word times.
    words: tuple[Word, ...] = ()
    # 0 to 1; None where the engine did not detect the language, or gives no probability.
    language_probability: float | None = None


Transcript = PartialTranscript | FinalTranscript


class SttStream(Protocol):
    """Recognition of one microphone.

    The caller numbers the segments (segments.py) and passes the current one with each call; the stream puts the segment
    of that moment into its transcripts. One task calls `push_audio`, `flush_segment`, `commit_segment` and `end_audio`,
    one after another; another task reads `transcripts`.
    """

    async def push_audio(self, chunk: AudioChunk, segment: Segment) -> None:
        """Add audio to `segment`; waits while the engine is behind (backpressure)."""
        ...

    async def flush_segment(self, segment: Segment) -> None:
        """Request a final transcript of all audio of `segment`; more of its audio may follow."""
        ...

    async def commit_segment(self, segment: Segment) -> None:
        """Discard the state of `segment`: the next audio belongs to another segment."""
        ...

    async def end_audio(self) -> None:
        """End the input: `transcripts` ends after the pending ones."""
        ...

    def transcripts(self) -> AsyncIterator[Transcript]:
        """Yield all transcripts in order. Raises `EngineFailed` when the engine fails."""
        ...


class SttEngine(Protocol):
    """A speech recogniser, shared by all microphones."""

    @property
    def info(self) -> EngineInfo:
        """Name, model and limits of the engine."""
        ...

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Load and warm up the engine; exiting frees its resources."""
        ...

    def open_stream(self, config: TranscriptionConfig) -> AbstractAsyncContextManager[SttStream]:
        """Open a microphone stream; exiting ends all its work. Raises `Unsupported` for an unsupported language."""
        ...
