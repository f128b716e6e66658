"""The engine `pocket-tts`. Imports torch only when the model is loaded."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from service_kit.anchor_command import anchor_command
from service_kit.engines.info import EngineInfo
from service_kit.engines.worker import EngineWorker
from service_kit.errors import EngineFailed, InvalidRequest, Unsupported

from tts_service.engine import PhraseRequest, Samples, Speech, SynthesisConfig, Voice, VoiceConsent
from tts_service.engines.engine_pool import EnginePool
from tts_service.engines.model_folder import pulled_folder, verify_pulled
from tts_service.engines.phrase_limits import EstimatedWordTimes, PhraseLimiter
from tts_service.engines.pocket_tts.voices import PocketVoices
from tts_service.settings import TtsSettings
from tts_service.synthesis.stream import CloningStreamAdapter, ReplyLimits
from tts_service.voices.catalogue import primary_language
from tts_service.voices.reference_audio import check_name, check_transcript, decode_reference

if TYPE_CHECKING:
    from tts_service.engines.pocket_tts.model import LoadedPocket, PhraseGeneration

RATE_HZ = 24_000
# Names in models.lock: weights that learn voices, in a gated repository, and weights that only speak. Those of other
# languages have the language behind them.
_LEARNING, _SPEAKING, _PLAIN_LANGUAGE = "pocket-tts-cloning", "pocket-tts", "en"
# Recordings that wait for encoding.
_MAX_WAITING_RECORDINGS = 4
# A phrase has one task on its slot's thread; a cancelled phrase may still be ending there.
_WAITING_PER_SLOT = 4


@dataclass(frozen=True, slots=True)
class PocketConfig:
    """The settings of the engine; `TtsSettings` explains each."""

    model: Path
    models_lock: Path
    # Whether the weights can learn voices.
    learns: bool
    voices: Path | None
    language: str
    slots: int
    temperature: float | None
    seed: int

    @classmethod
    def from_settings(cls, settings: TtsSettings) -> PocketConfig:
        """Take the configuration from the settings. Raises `InvalidRequest` when there is no model."""
        suffix = "" if settings.pocket_language == _PLAIN_LANGUAGE else f"-{settings.pocket_language}"
        learning, speaking = f"{_LEARNING}{suffix}", f"{_SPEAKING}{suffix}"
        model = settings.pocket_model or pulled_folder(settings.models_dir, "TTS_POCKET_MODEL", learning, speaking)
        return cls(
            model,
            settings.models_lock,
            model.name != speaking,
            settings.pocket_voices,
            settings.pocket_language,
            settings.pocket_slots,
            settings.pocket_temperature,
            settings.pocket_seed,
        )


@dataclass(frozen=True, slots=True)
class ModelSlot:
    """One copy of the model, by its index, and its thread."""

    index: int
    worker: EngineWorker


class PocketEngine:
    """A `PhraseEngine` and `CloningEngine` with one copy of the model per slot."""

    def __init__(self, config: PocketConfig) -> None:
        self._config = config
        self._voice_worker = EngineWorker("pocket-voices", _MAX_WAITING_RECORDINGS)
        self._slots = [
            ModelSlot(place, EngineWorker(f"pocket-{place}", _WAITING_PER_SLOT)) for place in range(config.slots)
        ]
        self._pool = EnginePool(self._slots)
        self._loaded: LoadedPocket | None = None
        self._voices: PocketVoices | None = None
        self._info = EngineInfo(
            name="pocket-tts",
            model=config.model.name,
            version="4",
            languages=(config.language,),
            sample_rate_hz=RATE_HZ,
            notes={"word marks": "estimated", "style": "not followed"},
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def free_slots(self) -> int:
        """Number of phrases that could start now."""
        return self._pool.free_count

    def voices(self) -> Sequence[Voice]:
        return () if self._voices is None else self._voices.voices()

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        # All paths are replaced by local files. If the library still asks its hub for one, the hub's client refuses.
        os.environ["HF_HUB_OFFLINE"] = "1"
        from tts_service.engines.pocket_tts.model import LoadedPocket

        choice = self._config
        try:
            await self._voice_worker.run(partial(verify_pulled, choice.model, choice.models_lock))
            load = partial(LoadedPocket, choice.model, choice.language, choice.temperature, choice.slots)
            loaded = await self._voice_worker.run(load)
            if loaded.rate_hz != RATE_HZ:
                raise EngineFailed("tts.model_layout", f"the model speaks at {loaded.rate_hz} Hz, not {RATE_HZ}")
            voices = PocketVoices(choice.model, choice.voices, choice.language, loaded.check_voice)
            await self._voice_worker.run(voices.load)
            self._loaded, self._voices = loaded, voices
            await self._warm_up()
            yield
        finally:
            self._loaded = self._voices = None
            for slot in self._slots:
                slot.worker.close()
            self._voice_worker.close()

    @asynccontextmanager
    async def synthesize(self, phrase: PhraseRequest, config: SynthesisConfig) -> AsyncGenerator[AsyncIterator[Speech]]:
        async with (
            self._pool.acquire() as slot,
            aclosing(self._generate(slot, phrase.text, config.voice.id)) as speech,
        ):
            yield speech

    def cloning_languages(self) -> Sequence[str]:
        """The language of the model. Raises `Unsupported` without a folder for voices, or weights that learn them."""
        self._require_learning()
        return (self._config.language,)

    def _require_learning(self) -> None:
        if not self._config.learns:
            pull = anchor_command(f"pull {self._config.model.name.replace(_SPEAKING, _LEARNING)}")
            raise Unsupported("tts.no_cloning", f"these weights cannot learn voices; `{pull}` fetches those that can")
        self._ready[1].cloned.require_folder()

    async def add_voice(
        self,
        name: str,
        reference_wav: bytes,
        reference_transcript: str,
        language: str,
        consent: VoiceConsent | None = None,
    ) -> Voice:
        """Clone a voice from a recording; the model does not need its transcript."""
        loaded, voices = self._ready
        if primary_language(language) != self._config.language:
            raise InvalidRequest("tts.unknown_language", f"this model speaks {self._config.language!r} only")
        self._require_learning()

        def encode_and_save() -> Voice:
            check_name(name)
            if reference_transcript.strip():
                check_transcript(reference_transcript)
            state = loaded.encode_voice(decode_reference(reference_wav, RATE_HZ))
            write = partial(loaded.write_voice, state=state)
            return voices.cloned.save_voice(
                name.strip(), self._config.language, reference_transcript.strip(), write, consent
            )

        return await self._voice_worker.run(encode_and_save)

    async def delete_voice(self, voice_id: str) -> None:
        """Delete a cloned voice."""
        loaded, voices = self._ready
        cloned = voices.cloned.find_voice(voice_id)
        await self._voice_worker.run(partial(voices.cloned.delete_voice, voice_id))
        if cloned is not None:
            loaded.evict_voice(cloned.conditioning)

    @property
    def _ready(self) -> tuple[LoadedPocket, PocketVoices]:
        if self._loaded is None or self._voices is None:
            raise EngineFailed("tts.not_loaded", "the speech model is not loaded")
        return self._loaded, self._voices

    async def _generate(self, slot: ModelSlot, text: str, voice_id: str) -> AsyncGenerator[Speech]:
        generation = await self._start_generation(slot, text, voice_id)
        limiter, words = PhraseLimiter(text, RATE_HZ), EstimatedWordTimes(text, RATE_HZ)
        try:
            while (samples := await slot.worker.run(generation.next_samples)) is not None:
                samples = limiter.limit_samples(samples)
                for word in words.pop_until(limiter.emitted_samples):
                    yield word
                yield Samples(samples)
                if limiter.ended:
                    return
        finally:
            # Stop the model in its current step, then wait for it; the slot is free afterwards.
            generation.stop()
            await slot.worker.run(generation.stop_and_wait)

    async def _start_generation(self, slot: ModelSlot, text: str, voice_id: str) -> PhraseGeneration:
        from tts_service.engines.pocket_tts.model import PhraseGeneration

        loaded, voices = self._ready
        path = voices.voice_path(voice_id)

        def start() -> PhraseGeneration:
            return PhraseGeneration(loaded.models[slot.index], loaded.voice_state(path), text, self._config.seed)

        return await slot.worker.run(start)

    async def _warm_up(self) -> None:
        config = SynthesisConfig(self.voices()[0], self._config.language)
        async with self.synthesize(PhraseRequest(0, "Hello."), config) as speech:
            async for _ in speech:
                pass


def pocket_tts_engine(settings: TtsSettings) -> CloningStreamAdapter:
    """Create the engine `pocket-tts`."""
    return CloningStreamAdapter(PocketEngine(PocketConfig.from_settings(settings)), ReplyLimits.from_settings(settings))
