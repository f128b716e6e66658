"""Fake `PhraseEngine`s that play a constant tone or fail, and a routed engine over three of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
from service_kit.engines.info import EngineInfo
from service_kit.engines.memory import MemoryKind
from service_kit.errors import NotFound, NotReady
from tts_service.engine import (
    PhraseRequest,
    Samples,
    Speech,
    SpeechAudio,
    SpeechEvent,
    Style,
    SynthesisConfig,
    Voice,
    VoiceConsent,
    Word,
)
from tts_service.routing.routed_adapter import RoutedStreamAdapter
from tts_service.routing.routed_engine import RoutedPhraseEngine
from tts_service.routing.routes import RoutingPlan
from tts_service.settings import TtsSettings
from tts_service.synthesis.stream import ReplyLimits, StreamAdapter
from tts_service.voices.catalogue import resolve_config

LIMITS = ReplyLimits.from_settings(TtsSettings())
RATE_HZ = 24_000


@dataclass
class ToneEngine:
    """A `PhraseEngine` that plays half a second per phrase; `loudness` identifies the engine in the audio."""

    name: str
    languages: tuple[str, ...]
    loudness: float
    rate_hz: int = RATE_HZ
    # Raised while loading.
    load_error: Exception | None = None
    # Raised in each phrase after `fails_after` pieces.
    phrase_error: Exception | None = None
    fails_after: int = 0
    hangs: bool = False
    empty: bool = False
    # Text, voice id and language of each phrase.
    spoken: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    loads: int = 0
    # Fields of the style that it follows.
    style_fields: tuple[str, ...] = ()

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(self.name, "tone", "1", self.languages, self.rate_hz, style_fields=self.style_fields)

    def voices(self) -> Sequence[Voice]:
        return [Voice(f"{language}-{kind}", kind, (language,)) for language in self.languages for kind in ("a", "b")]

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        self.loads += 1
        if self.load_error:
            raise self.load_error
        yield

    @asynccontextmanager
    async def synthesize(self, phrase: PhraseRequest, config: SynthesisConfig) -> AsyncGenerator[AsyncIterator[Speech]]:
        self.spoken.append((phrase.text, config.voice.id, config.language))
        yield self._generate()

    async def _generate(self) -> AsyncGenerator[Speech]:
        yield Word(0, 1, 0)
        if self.hangs:
            await asyncio.Event().wait()
        for piece in range(0 if self.empty else 4):
            if self.phrase_error and piece >= self.fails_after:
                raise self.phrase_error
            yield Samples(np.full(self.rate_hz // 8, self.loudness, np.float32))


@dataclass
class ServerBackedToneEngine(ToneEngine):
    """A `ServerBackedEngine`; its server is down while `load_error` is set."""

    async def check_server(self) -> None:
        if self.load_error:
            raise self.load_error


@dataclass
class CloningToneEngine(ToneEngine):
    """A `CloningEngine`."""

    cloned: list[str] = field(default_factory=list[str])

    def voices(self) -> Sequence[Voice]:
        return [*super().voices(), *(Voice(name, name, self.languages, cloned=True) for name in self.cloned)]

    def cloning_languages(self) -> Sequence[str]:
        return self.languages

    async def add_voice(
        self,
        name: str,
        reference_wav: bytes,
        reference_transcript: str,
        language: str,
        consent: VoiceConsent | None = None,
    ) -> Voice:
        self.cloned.append(name)
        return Voice(name, name, (language,), cloned=True)

    async def delete_voice(self, voice_id: str) -> None:
        if voice_id not in self.cloned:
            raise NotFound("tts.unknown_voice", f"no cloned voice {voice_id!r}")
        self.cloned.remove(voice_id)


class ParkableToneAdapter(StreamAdapter):
    """A `CloningEngine` and `ParkableEngine` over a `CloningToneEngine`."""

    def __init__(self, engine: CloningToneEngine) -> None:
        super().__init__(engine, LIMITS)
        self.engine = engine
        self.cloning_languages = engine.cloning_languages
        self.add_voice = engine.add_voice
        self.delete_voice = engine.delete_voice

    async def memory(self) -> Mapping[MemoryKind, int]:
        return {} if self.parked else {MemoryKind.WEIGHTS: 1000, MemoryKind.CONTEXT: 1}

    @property
    def parked(self) -> bool:
        return self.engine.phrase_error is not None

    async def park(self) -> None:
        self.engine.phrase_error = NotReady("tts.parked", "parked")

    async def wake(self) -> None:
        self.engine.phrase_error = None


class RoutedTones:
    """Two engines and a fallback; `adapter` routes between them."""

    def __init__(self, silent_s: float = 5.0) -> None:
        self.main = CloningToneEngine("main", ("en", "fr"), 0.5)
        self.hindi = ServerBackedToneEngine("hindi", ("hi",), 0.25)
        self.small = ToneEngine("small", ("en", "fr", "hi"), 0.125, rate_hz=22_050)
        self.plan = RoutingPlan("main", {"hi": "hindi"}, ("small",))
        self.routed = RoutedPhraseEngine(self.plan, self._create, silent_s)
        self.adapter = RoutedStreamAdapter(self.routed, LIMITS, 3)

    def _create(self, name: str) -> StreamAdapter:
        engine = {"main": self.main, "hindi": self.hindi, "small": self.small}[name]
        return ParkableToneAdapter(engine) if isinstance(engine, CloningToneEngine) else StreamAdapter(engine, LIMITS)

    async def speak(self, text: str, language: str, voice: str = "") -> list[SpeechEvent]:
        """Speak a reply; return its events."""
        stream = self.adapter.open_stream(resolve_config(self.adapter.voices(), voice, language, Style()))
        events: list[SpeechEvent] = []

        async def emit(event: SpeechEvent) -> None:
            events.append(event)

        await stream.send_text(text)
        await stream.end_text()
        await stream.run(emit)
        return events

    async def loudness(self, text: str, language: str, voice: str = "") -> list[float]:
        """Speak a reply; return the loudness in the middle of each phrase, which identifies its engine."""
        events = await self.speak(text, language, voice)
        pcm = b"".join(event.pcm for event in events if isinstance(event, SpeechAudio))
        samples = np.frombuffer(pcm, "<i2") / 32768
        return [round(float(samples[at]), 2) for at in range(6000, samples.size, 12_000)]
