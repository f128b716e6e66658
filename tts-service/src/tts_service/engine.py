"""The engine interface of the service, and its value types."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from service_kit.engines.info import EngineInfo
from service_kit.errors import Unsupported


@dataclass(frozen=True, slots=True)
class ConsentSummary:
    """Who consented and when; `given_unix_s` in seconds since 1970, `language` ISO 639-1 or empty."""

    id: str
    name: str
    language: str
    given_unix_s: int


@dataclass(frozen=True, slots=True)
class VoiceConsent:
    """The consent: a written statement, or the transcript of a recorded one and its recording (WAV, else empty)."""

    summary: ConsentSummary
    statement: str
    recording_wav: bytes = b""


@dataclass(frozen=True, slots=True)
class Voice:
    """A speaking persona. The first voice listed for a language is the default of that language."""

    id: str
    name: str
    # ISO 639-1 codes.
    languages: tuple[str, ...]
    # Whether it was added by `add_voice`.
    cloned: bool = False
    # Name of its engine, where the service has several engines; `id` then begins with it.
    engine: str = ""
    # Of a cloned voice; None for others, and for one that was added without.
    consent: ConsentSummary | None = None
    # When a cloned voice was added, in seconds since 1970; 0 if unknown.
    created_unix_s: int = 0
    # Fields of `Style` that its engine follows; filled by the stream adapter.
    style_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Style:
    """Speaking style: `pace` is a factor, the other traits go from 0 to 1. None keeps the voice's own style."""

    pace: float = 1.0
    warmth: float | None = None
    humour: float | None = None
    energy: float | None = None


@dataclass(frozen=True, slots=True)
class SynthesisConfig:
    """How one reply is spoken; `voice` speaks `language` (ISO 639-1)."""

    voice: Voice
    language: str
    style: Style = Style()
    # Whether the caller paces the speech by its text, so that none is held back.
    paced_by_text: bool = False


@dataclass(frozen=True, slots=True)
class SpeechAudio:
    """PCM16 mono at 24 kHz, `offset_ms` into the reply; follows the previous audio without a gap."""

    offset_ms: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class SpeechMark:
    """The code points `text_start` to `text_end` of the reply's text are spoken from `offset_ms` of its audio on."""

    text_start: int
    text_end: int
    offset_ms: int


@dataclass(frozen=True, slots=True)
class PhraseStarted:
    """The phrase of code points `text_start` to `text_end` is complete; the engine starts to speak it."""

    text_start: int
    text_end: int


SpeechEvent = SpeechAudio | SpeechMark | PhraseStarted

# Sends one event to the client; waits while the client reads more slowly than the engine speaks.
Emit = Callable[[SpeechEvent], Awaitable[None]]


class ReplyStream(Protocol):
    """One reply: text goes in while its speech comes out. `send_text` and `end_text` run beside `run`."""

    async def send_text(self, text: str) -> None:
        """Add text; waits while enough text is queued (backpressure)."""
        ...

    async def end_text(self) -> None:
        """Mark the end of the text."""
        ...

    async def run(self, emit: Emit) -> None:
        """Synthesise the text as it comes and pass the events to `emit`; return after the last one.

        Cancelling it stops the engine.
        """
        ...


class TtsEngine(Protocol):
    """Turns streamed text into speech. Shared by all replies."""

    @property
    def info(self) -> EngineInfo:
        """Name, model, version, languages and output rate."""
        ...

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Load on entry, unload on exit."""
        ...

    def voices(self) -> Sequence[Voice]:
        """All voices; each language's default comes before its other voices."""
        ...

    def open_stream(self, config: SynthesisConfig) -> ReplyStream:
        """Open the stream of one reply."""
        ...


@runtime_checkable
class CloningEngine(Protocol):
    """An engine that also clones voices from recordings."""

    def cloning_languages(self) -> Sequence[str]:
        """Languages that a voice can be cloned for now, ISO 639-1. Raises `Unsupported` when none can, with advice."""
        ...

    async def add_voice(
        self,
        name: str,
        reference_wav: bytes,
        reference_transcript: str,
        language: str,
        consent: VoiceConsent | None = None,
    ) -> Voice:
        """Clone a voice from a WAV recording and its transcript, and store the consent with it.

        The servicer refuses a request without consent. Raises `InvalidRequest` for a bad recording.
        """
        ...

    async def delete_voice(self, voice_id: str) -> None:
        """Delete a cloned voice. Raises `NotFound`."""
        ...


def cloning_unsupported(engine: str) -> Unsupported:
    """The refusal of an engine that cannot clone voices, with those that can."""
    return Unsupported(
        "tts.cloning_unsupported",
        f"engine {engine!r} cannot clone voices; pocket-tts on a CPU, and higgs and csm on a GPU, can (docs/voices.md)",
    )


@dataclass(frozen=True, slots=True)
class Samples:
    """Speech: float32 in [-1, 1], shape [n], at the engine's rate."""

    samples: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Word:
    """`chars` characters from `first_char` of the phrase's text are spoken from the phrase's `first_sample` on."""

    first_char: int
    chars: int
    first_sample: int


Speech = Samples | Word

# (character of the text, number of the speaker who speaks from it on); both counted from 0.
SpeakerTurn = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PhraseRequest:
    """The `index`-th phrase of a reply, for a `PhraseEngine`; `text` is normalised."""

    index: int
    text: str
    # For engines with several speakers in one voice; empty when the text names no speaker.
    speaker_turns: tuple[SpeakerTurn, ...] = ()


class PhraseEngine(Protocol):
    """An engine that speaks a phrase at a time; `StreamAdapter` makes it a `TtsEngine`."""

    @property
    def info(self) -> EngineInfo:
        """Name, model, version, languages and output rate."""
        ...

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Load on entry, unload on exit."""
        ...

    def voices(self) -> Sequence[Voice]:
        """All voices; each language's default comes before its other voices."""
        ...

    def synthesize(
        self, phrase: PhraseRequest, config: SynthesisConfig
    ) -> AbstractAsyncContextManager[AsyncIterator[Speech]]:
        """Synthesise one phrase. A `Word` comes no later than its samples. Leaving the context stops the synthesis."""
        ...


class CloningPhraseEngine(PhraseEngine, CloningEngine, Protocol):
    """An engine that speaks a phrase at a time and clones voices."""


@runtime_checkable
class ServerBackedEngine(Protocol):
    """A `PhraseEngine` whose model runs in a separate server."""

    async def check_server(self) -> None:
        """Probe the server; raise its failure."""
        ...


@runtime_checkable
class StagedEngine(Protocol):
    """A `PhraseEngine` whose start has long stages."""

    # Called inside its lifespan when a stage begins, with what it does, and with "" when it is over.
    on_stage: Callable[[str], None]
