"""What a speech recogniser is to this service."""

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
    """How one microphone is transcribed; `language` is ISO 639-1, empty to let the engine find it."""

    language: str = ""
    partial_transcripts: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech that is transcribed as one, and the span of its audio so far, on the audio clock."""

    id: int
    start_ms: int = 0
    end_ms: int = 0


class LanguageSource(Enum):
    """How the language of a transcript was found."""

    UNKNOWN = 0
    CONFIG = 1
    ENGINE = 2
    TEXT = 3


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it was said, `start_ms` to `end_ms`."""

    text: str
    start_ms: int
    end_ms: int
    # 0 to 1; None where the engine has none.
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Partial:
    """The segment's text so far; replaces the partial before it."""

    segment: Segment
    text: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class Final:
    """The segment's text, from its beginning; empty when there were no words."""

    segment: Segment
    text: str
    # Other readings of the same audio, best first.
    alternatives: tuple[str, ...] = ()
    language: str = ""
    language_source: LanguageSource = LanguageSource.UNKNOWN
    # 0 to 1; None where the engine has none.
    confidence: float | None = None
    # Of the text, in order, on the audio clock; empty where the engine has no times.
    words: tuple[Word, ...] = ()
    # 0 to 1; None where the engine has not told the language, or does not say.
    language_probability: float | None = None


Transcript = Partial | Final


class SttStream(Protocol):
    """One microphone's recognition.

    The caller counts the segments (segments.py) and says with each piece to which segment it belongs; the stream
    stamps its transcripts with the segment as it was when they were made. `feed`, `flush`, `commit` and `finish` are
    called by one task, one after another; `transcripts` is read by another.
    """

    async def feed(self, chunk: AudioChunk, segment: Segment) -> None:
        """Take in audio; waits while the engine is behind (that is backpressure)."""
        ...

    async def flush(self, segment: Segment) -> None:
        """Make a final transcript of all audio of `segment`; more audio may follow."""
        ...

    async def commit(self, segment: Segment) -> None:
        """Forget `segment`: what is fed next belongs to another."""
        ...

    async def finish(self) -> None:
        """No more is to come: `transcripts` ends when what is pending has been given."""
        ...

    def transcripts(self) -> AsyncIterator[Transcript]:
        """Everything recognised, in order. Raises `EngineFailed` when the engine breaks."""
        ...


class SttEngine(Protocol):
    """A recogniser, shared by all microphones."""

    @property
    def info(self) -> EngineInfo:
        """What it is."""
        ...

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Load and warm up; leaving frees everything."""
        ...

    def open(self, config: TranscriptionConfig) -> AbstractAsyncContextManager[SttStream]:
        """Begin a microphone; leaving ends all work for it. Raises `Unsupported` for a language it has not."""
        ...
