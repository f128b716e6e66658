"""Pocket TTS behind the service's seam. Nothing here imports torch before the model is loaded."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from service_kit.engines.info import EngineInfo
from service_kit.engines.worker import EngineWorker
from service_kit.errors import EngineFailed, InvalidRequest

from tts_service.engine import Samples, Speech, SpokenPhrase, SynthesisConfig, Voice
from tts_service.engines.engine_pool import Places
from tts_service.engines.phrase_limits import PhraseEnd, WordClock
from tts_service.engines.pocket_tts.voices import PocketVoices
from tts_service.settings import TtsSettings
from tts_service.synthesis.stream import CloningSpeech, SpeakingLimits
from tts_service.voices.catalogue import primary_language
from tts_service.voices.reference_audio import check_name, check_transcript, reference_samples

if TYPE_CHECKING:
    from tts_service.engines.pocket_tts.model import LoadedPocket, Pieces

RATE_HZ = 24_000
# Recordings that wait to be learned.
_MAX_LEARNING = 4
# A phrase has one piece of work at its speaker's thread; one that was given up may still be ending there.
_WAITING_PER_SPEAKER = 4


@dataclass(frozen=True, slots=True)
class PocketChoice:
    """Which model speaks; see `TtsSettings` for the meaning."""

    model: Path
    voices: Path | None
    language: str
    slots: int
    temperature: float | None
    seed: int

    @classmethod
    def from_settings(cls, settings: TtsSettings) -> PocketChoice:
        """What the settings choose. Raises `InvalidRequest` when they name no model."""
        if settings.pocket_model is None:
            raise InvalidRequest("tts.model_missing", "TTS_POCKET_MODEL must name a folder")
        return cls(
            settings.pocket_model,
            settings.pocket_voices,
            settings.pocket_language,
            settings.pocket_slots,
            settings.pocket_temperature,
            settings.pocket_seed,
        )


@dataclass(frozen=True, slots=True)
class Speaker:
    """One of the models, by its place, and the thread that it speaks on."""

    place: int
    worker: EngineWorker


class PocketEngine:
    """A `PhraseEngine`, and what voices are added to."""

    def __init__(self, choice: PocketChoice) -> None:
        self._choice = choice
        self._learning = EngineWorker("pocket-voices", _MAX_LEARNING)
        self._speakers = [
            Speaker(place, EngineWorker(f"pocket-{place}", _WAITING_PER_SPEAKER)) for place in range(choice.slots)
        ]
        self._places = Places(self._speakers)
        self._loaded: LoadedPocket | None = None
        self._voices: PocketVoices | None = None
        self._info = EngineInfo(
            name="pocket-tts",
            model=choice.model.name,
            version="4",
            languages=(choice.language,),
            sample_rate_hz=RATE_HZ,
            notes={"word marks": "estimated", "style": "not followed"},
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def free_slots(self) -> int:
        """How many more phrases could be spoken now."""
        return self._places.free

    def voices(self) -> Sequence[Voice]:
        return () if self._voices is None else self._voices.voices()

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        # Every path is made a local file's; should the library ask its hub for one after all, the hub's client refuses.
        os.environ["HF_HUB_OFFLINE"] = "1"
        from tts_service.engines.pocket_tts.model import LoadedPocket

        choice = self._choice
        try:
            load = partial(LoadedPocket, choice.model, choice.temperature, choice.slots)
            loaded = await self._learning.run(load)
            if loaded.rate_hz != RATE_HZ:
                raise EngineFailed("tts.model_layout", f"the model speaks at {loaded.rate_hz} Hz, not {RATE_HZ}")
            voices = PocketVoices(choice.model, choice.voices, choice.language, loaded.checked)
            await self._learning.run(voices.load)
            self._loaded, self._voices = loaded, voices
            await self._warm_up()
            yield
        finally:
            self._loaded = self._voices = None
            for speaker in self._speakers:
                speaker.worker.close()
            self._learning.close()

    @asynccontextmanager
    async def speak(self, phrase: SpokenPhrase, config: SynthesisConfig) -> AsyncGenerator[AsyncIterator[Speech]]:
        async with self._places.one() as speaker, aclosing(self._speech(speaker, phrase.text, config.voice.id)) as said:
            yield said

    async def add_voice(self, name: str, reference_wav: bytes, reference_transcript: str, language: str) -> Voice:
        """Learn a voice from a recording; the model does not need to know what is said in it."""
        loaded, voices = self._ready
        if primary_language(language) != self._choice.language:
            raise InvalidRequest("tts.unknown_language", f"this model speaks {self._choice.language!r} only")
        voices.added.writable()

        def learn() -> Voice:
            check_name(name)
            if reference_transcript.strip():
                check_transcript(reference_transcript)
            state = loaded.learn(reference_samples(reference_wav, RATE_HZ))
            write = partial(loaded.write, state=state)
            return voices.added.keep(name.strip(), self._choice.language, reference_transcript.strip(), write)

        return await self._learning.run(learn)

    async def delete_voice(self, voice_id: str) -> None:
        """Forget a voice that was added."""
        loaded, voices = self._ready
        learned = voices.added.learned(voice_id)
        await self._learning.run(partial(voices.added.delete, voice_id))
        if learned is not None:
            loaded.forget(learned.sound)

    @property
    def _ready(self) -> tuple[LoadedPocket, PocketVoices]:
        if self._loaded is None or self._voices is None:
            raise EngineFailed("tts.not_loaded", "the speech model is not loaded")
        return self._loaded, self._voices

    async def _speech(self, speaker: Speaker, text: str, voice_id: str) -> AsyncGenerator[Speech]:
        pieces = await self._begun(speaker, text, voice_id)
        end, clock = PhraseEnd(text, RATE_HZ), WordClock(text, RATE_HZ)
        try:
            while (samples := await speaker.worker.run(pieces.next)) is not None:
                samples = end.cut(samples)
                for word in clock.until(end.samples):
                    yield word
                yield Samples(samples)
                if end.reached:
                    return
        finally:
            # At once, wherever the model is; then its place is free when it is.
            pieces.stop()
            await speaker.worker.run(pieces.finish)

    async def _begun(self, speaker: Speaker, text: str, voice_id: str) -> Pieces:
        from tts_service.engines.pocket_tts.model import Pieces

        loaded, voices = self._ready
        path = voices.path(voice_id)

        def begin() -> Pieces:
            return Pieces(loaded.models[speaker.place], loaded.state(path), text, self._choice.seed)

        return await speaker.worker.run(begin)

    async def _warm_up(self) -> None:
        config = SynthesisConfig(self.voices()[0], self._choice.language)
        async with self.speak(SpokenPhrase(0, "Hello."), config) as speech:
            async for _ in speech:
                pass


def pocket_tts_engine(settings: TtsSettings) -> CloningSpeech:
    """The engine `pocket-tts`."""
    return CloningSpeech(PocketEngine(PocketChoice.from_settings(settings)), SpeakingLimits.from_settings(settings))
