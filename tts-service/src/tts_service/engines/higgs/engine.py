"""higgs-audio v2 behind the service's seam. Nothing here imports torch before the model is loaded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from service_kit.engine import EngineInfo
from service_kit.engine_worker import EngineWorker
from service_kit.errors import EngineFailed, InvalidRequest

from tts_service.engine import Samples, Speech, SpokenPhrase, SynthesisConfig, Voice
from tts_service.engines.higgs.delay import Codes
from tts_service.engines.higgs.emission import Emission, Window
from tts_service.engines.higgs.guards import frame_cap
from tts_service.engines.higgs.loop import DecodeLoop
from tts_service.engines.higgs.prompt import Utterance
from tts_service.engines.higgs.voices import VoiceFolder
from tts_service.engines.phrase_guards import SilenceGuard, WordClock
from tts_service.reference_audio import check_name, check_transcript, reference_samples
from tts_service.settings import HiggsWeights, TtsSettings
from tts_service.speaking import PhraseSpeech, SpeakingLimits
from tts_service.voices import primary_language

if TYPE_CHECKING:
    from tts_service.engines.higgs.loaded import LoadedHiggs

log = logging.getLogger(__name__)

RATE_HZ = 24_000
# Those its authors name; the default first.
LANGUAGES = ("en", "de", "es", "zh", "ko")
_OWN_VOICE = Voice("higgs", "Higgs, in a voice of its own choice", LANGUAGES)
# Prompts and decodings that wait while a step runs: at most one of either for every slot, and a voice being learned.
_WAITING_PER_SLOT = 4
_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class HiggsChoice:
    """Which model speaks, where; see `TtsSettings` for the meaning."""

    model: Path
    codec: Path
    voices: Path | None
    device: str
    weights: HiggsWeights
    slots: int
    context_tokens: int
    temperature: float
    seed: int

    @classmethod
    def from_settings(cls, settings: TtsSettings) -> HiggsChoice:
        """What the settings choose. Raises `InvalidRequest` when they name no model."""
        if settings.higgs_model is None or settings.higgs_codec is None:
            raise InvalidRequest("tts.model_missing", "TTS_HIGGS_MODEL and TTS_HIGGS_CODEC must name folders")
        return cls(
            settings.higgs_model,
            settings.higgs_codec,
            settings.higgs_voices,
            settings.higgs_device,
            settings.higgs_weights,
            settings.higgs_slots,
            settings.higgs_context_tokens,
            settings.higgs_temperature,
            settings.higgs_seed,
        )


class HiggsEngine:
    """A `PhraseEngine`, and what voices are added to."""

    def __init__(self, choice: HiggsChoice) -> None:
        self._choice = choice
        self._voices = VoiceFolder(choice.voices)
        self._worker = EngineWorker("higgs", _WAITING_PER_SLOT * choice.slots)
        # A recording is encoded for seconds, which no step should wait for.
        self._learning = EngineWorker("higgs-voices", choice.slots)
        self._loaded: LoadedHiggs | None = None
        self._loop: DecodeLoop | None = None
        self._info = EngineInfo(
            name="higgs",
            model=choice.model.name,
            version="2",
            languages=LANGUAGES,
            sample_rate_hz=RATE_HZ,
            notes={
                "licence": "Boson Higgs Audio 2 community licence; over 100,000 users a year need one of their own",
                "word marks": "estimated",
                "style": "not followed",
            },
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def free_slots(self) -> int:
        """How many more phrases could be spoken now."""
        return self._ready[1].free_slots

    def voices(self) -> Sequence[Voice]:
        return (_OWN_VOICE, *self._voices.voices())

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        from tts_service.engines.higgs.loaded import LoadedHiggs

        try:
            await self._learning.run(self._voices.load)
            self._loaded = await self._worker.run(partial(LoadedHiggs, self._choice))
            if self._loaded.codec.rate_hz != RATE_HZ:
                raise EngineFailed("tts.model_layout", f"the codec speaks at {self._loaded.codec.rate_hz} Hz")
            self._loop = DecodeLoop(self._loaded.slots, self._loaded.books, self._worker)
            async with asyncio.TaskGroup() as tasks:
                stepping = tasks.create_task(self._loop.run())
                await self._warm_up()
                yield
                stepping.cancel()
        finally:
            self._loaded = self._loop = None
            self._worker.close()
            self._learning.close()

    @asynccontextmanager
    async def speak(self, phrase: SpokenPhrase, config: SynthesisConfig) -> AsyncGenerator[AsyncIterator[Speech]]:
        async with aclosing(self._attempts(phrase.text, config.voice.id)) as speech:
            yield speech

    async def add_voice(self, name: str, reference_wav: bytes, reference_transcript: str, language: str) -> Voice:
        """Learn a voice from a recording and what is said in it."""
        loaded, _ = self._ready
        code = primary_language(language)
        if code not in LANGUAGES:
            raise InvalidRequest("tts.unknown_language", f"no voice speaks {language!r}")
        self._voices.writable()

        def learn() -> Voice:
            check_name(name)
            check_transcript(reference_transcript)
            frames = loaded.encode_reference(reference_samples(reference_wav, RATE_HZ))
            return self._voices.add(name.strip(), code, reference_transcript.strip(), frames)

        return await self._learning.run(learn)

    async def delete_voice(self, voice_id: str) -> None:
        """Forget a voice that was added."""
        loaded, _ = self._ready
        await self._learning.run(partial(self._voices.delete, voice_id))
        await self._worker.run(partial(loaded.slots.forget, voice_id))

    @property
    def _ready(self) -> tuple[LoadedHiggs, DecodeLoop]:
        if self._loaded is None or self._loop is None:
            raise EngineFailed("tts.not_loaded", "the speech model is not loaded")
        return self._loaded, self._loop

    async def _attempts(self, text: str, voice_id: str) -> AsyncGenerator[Speech]:
        """Speak; what comes to nothing is tried once more with another seed, since nobody has heard anything of it."""
        loaded, loop = self._ready
        reference = self._voices.reference(voice_id)
        cached_as = _OWN_VOICE.id if reference is None else voice_id
        for attempt in range(_ATTEMPTS):
            if attempt:
                log.warning("phrase was tried again")
            utterance = Utterance(text, cached_as, reference, self._choice.seed + attempt)
            heard = False
            async with (
                loop.speaking(utterance, frame_cap(text)) as frames,
                aclosing(self._speech(text, loaded, frames)) as speech,
            ):
                async for piece in speech:
                    heard = True
                    yield piece
            if heard:
                return

    async def _speech(self, text: str, loaded: LoadedHiggs, frames: AsyncIterator[Codes]) -> AsyncGenerator[Speech]:
        emission, silence, clock = Emission(), SilenceGuard(RATE_HZ), WordClock(text, RATE_HZ)

        async def pieces(window: Window) -> tuple[list[Speech], bool]:
            samples = await self._worker.run(partial(loaded.codec.decode, window))
            words = clock.until(emission.emitted_frames * loaded.codec.samples_per_frame)
            return [*words, Samples(samples)], silence.is_over(samples)

        async for frame in frames:
            if (window := emission.add(frame)) is not None:
                spoken, over = await pieces(window)
                for piece in spoken:
                    yield piece
                if over:
                    return
        if (window := emission.finish()) is not None:
            for piece in (await pieces(window))[0]:
                yield piece

    async def _warm_up(self) -> None:
        config = SynthesisConfig(_OWN_VOICE, LANGUAGES[0])
        async with self.speak(SpokenPhrase(0, "Hello."), config) as speech:
            async for _ in speech:
                pass


class HiggsSpeech(PhraseSpeech):
    """`PhraseSpeech` that can learn voices."""

    def __init__(self, engine: HiggsEngine, limits: SpeakingLimits) -> None:
        super().__init__(engine, limits)
        self._higgs = engine

    async def add_voice(self, name: str, reference_wav: bytes, reference_transcript: str, language: str) -> Voice:
        return await self._higgs.add_voice(name, reference_wav, reference_transcript, language)

    async def delete_voice(self, voice_id: str) -> None:
        await self._higgs.delete_voice(voice_id)


def higgs_engine(settings: TtsSettings) -> HiggsSpeech:
    """The engine `higgs`."""
    engine = HiggsEngine(HiggsChoice.from_settings(settings))
    return HiggsSpeech(engine, SpeakingLimits.from_settings(settings))
