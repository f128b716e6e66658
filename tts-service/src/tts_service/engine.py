"""The seam between the service and what speaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from service_kit.engines.info import EngineInfo


@dataclass(frozen=True, slots=True)
class Voice:
    """A speaking persona; the first voice listed for a language is its default."""

    id: str
    name: str
    # ISO 639-1.
    languages: tuple[str, ...]
    cloned: bool = False
    # Its engine, where the service has several; `id` then begins with it.
    engine: str = ""


@dataclass(frozen=True, slots=True)
class Style:
    """Manner of speaking: pace is a factor, the others go from 0 to 1; None is the voice's own."""

    pace: float = 1.0
    warmth: float | None = None
    humour: float | None = None
    energy: float | None = None


@dataclass(frozen=True, slots=True)
class SynthesisConfig:
    """How one reply is spoken; `voice` is one that speaks `language`."""

    voice: Voice
    language: str
    style: Style = Style()


@dataclass(frozen=True, slots=True)
class SpeechAudio:
    """PCM16 mono at 24 kHz, `offset_ms` into the reply; follows on what came before."""

    offset_ms: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class SpeechMark:
    """The code points `text_start` to `text_end` of the reply's text begin to sound at `offset_ms`."""

    text_start: int
    text_end: int
    offset_ms: int


@dataclass(frozen=True, slots=True)
class PhraseStarted:
    """There was enough text for a phrase, code points `text_start` to `text_end`; the engine begins to speak it."""

    text_start: int
    text_end: int


SpeechEvent = SpeechAudio | SpeechMark | PhraseStarted

# Takes one event to the listener; waits while the listener is slower than we are.
Emit = Callable[[SpeechEvent], Awaitable[None]]


class ReplyStream(Protocol):
    """One reply: text goes in while its speech comes out. `write` and `end` run beside `speak`."""

    async def send_text(self, text: str) -> None:
        """Add text; waits while there is enough to speak."""
        ...

    async def end_text(self) -> None:
        """Say that all text was written."""
        ...

    async def run(self, emit: Emit) -> None:
        """Speak the text into `emit` as it comes; return when all was spoken. Cancelling it stops the engine."""
        ...


class TtsEngine(Protocol):
    """Whatever turns streamed text into speech. Shared by all replies."""

    @property
    def info(self) -> EngineInfo: ...

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Load on entry, unload on exit."""
        ...

    def voices(self) -> Sequence[Voice]:
        """All voices, each language's default before its others."""
        ...

    def open_stream(self, config: SynthesisConfig) -> ReplyStream:
        """Begin a reply."""
        ...


@runtime_checkable
class CloningEngine(Protocol):
    """An engine that can learn voices from recordings, beside what a `TtsEngine` does."""

    async def add_voice(self, name: str, reference_wav: bytes, reference_transcript: str, language: str) -> Voice: ...

    async def delete_voice(self, voice_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Samples:
    """Speech: float32 in [-1, 1], shape [n], at the engine's rate."""

    samples: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Word:
    """`chars` characters from `first_char` of the phrase's text begin to sound at its sample `first_sample`."""

    first_char: int
    chars: int
    first_sample: int


Speech = Samples | Word

# From which character of a text on which speaker speaks, counted from 0.
SpeakerTurn = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PhraseRequest:
    """What a `PhraseEngine` is to say: the `index`-th phrase of a reply, cleaned of what is not spoken."""

    index: int
    text: str
    # Who speaks from where on, for an engine that has several speakers in one voice; empty when nobody is named.
    speaker_turns: tuple[SpeakerTurn, ...] = ()


class PhraseEngine(Protocol):
    """An engine that speaks a phrase at a time. `PhraseSpeech` makes a `TtsEngine` of it."""

    @property
    def info(self) -> EngineInfo: ...

    def lifespan(self) -> AbstractAsyncContextManager[object]: ...

    def voices(self) -> Sequence[Voice]: ...

    def synthesize(
        self, phrase: PhraseRequest, config: SynthesisConfig
    ) -> AbstractAsyncContextManager[AsyncIterator[Speech]]:
        """Speak one phrase. A `Word` comes no later than the samples it points into; leaving the context stops it."""
        ...


class CloningPhraseEngine(PhraseEngine, CloningEngine, Protocol):
    """An engine that speaks a phrase at a time, in voices that it can learn."""


@runtime_checkable
class ServerBackedEngine(Protocol):
    """A `PhraseEngine` whose model stands in a server of its own."""

    async def check_server(self) -> None:
        """Look whether the server is well; raise what it fails with."""
        ...
