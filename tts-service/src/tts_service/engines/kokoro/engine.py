"""The engine `kokoro`: neural voices in six languages, one phrase at a time, for machines that are fast enough."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from service_kit.engines.info import EngineInfo
from service_kit.engines.models import model_folder
from service_kit.errors import EngineFailed

from tts_service.engine import PhraseRequest, Speech, SynthesisConfig, Voice
from tts_service.engines.espeak.engine import WORKER as ESPEAK_WORKER
from tts_service.engines.kokoro.phonemes import to_phonemes
from tts_service.engines.kokoro.voices import list_voices
from tts_service.engines.phrase_worker.cache import PhraseCache, PhraseKey, replay
from tts_service.engines.phrase_worker.client import PhraseWorker, PhraseWorkerOptions, require_sound
from tts_service.settings import TtsSettings
from tts_service.synthesis.stream import ReplyLimits, StreamAdapter

MODEL = "kokoro"
RATE_HZ = 24_000
LANGUAGES = ("en", "es", "fr", "it", "pt", "hi")
_WARM_UP = "Uno."


class KokoroEngine:
    """A `PhraseEngine` over Kokoro-82M; `phonemizer` is a worker process of eSpeak NG."""

    def __init__(self, settings: TtsSettings, cache: PhraseCache, phonemizer: PhraseWorker) -> None:
        self._settings = settings
        self._cache = cache
        self._phonemizer = phonemizer
        self._worker: PhraseWorker | None = None
        self._voices: tuple[Voice, ...] = ()

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            name="kokoro",
            model="Kokoro-82M int8",
            version=self._worker.version if self._worker else "",
            languages=LANGUAGES,
            sample_rate_hz=RATE_HZ,
            notes={"licence": "Apache-2.0", "phonemes": "eSpeak NG, in its own process"},
            style_fields=("pace",),
        )

    def voices(self) -> Sequence[Voice]:
        return self._voices

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        folder = await asyncio.to_thread(find_folder, self._settings)
        self._voices = await asyncio.to_thread(list_voices, folder)
        self._worker = PhraseWorker(worker_options(folder, self._settings.kokoro_threads))
        async with self._phonemizer.running(), self._worker.running():
            await self._warm_up()
            yield

    @asynccontextmanager
    async def synthesize(self, phrase: PhraseRequest, config: SynthesisConfig) -> AsyncGenerator[AsyncIterator[Speech]]:
        key = PhraseKey(phrase.text, config.voice.id, config.style.pace, config.language)
        cached = self._cache.get(key)
        if cached is not None:
            yield replay(cached)
            return
        request = {
            "text": phrase.text,
            "phonemes": await to_phonemes(phrase.text, config.voice.id, self._phonemize),
            "voice": config.voice.id,
            "pace": config.style.pace,
        }
        if self._worker is None:
            raise EngineFailed("tts.worker_unavailable", "kokoro is not loaded")
        async with self._worker.speak(request) as job:
            yield self._cache.record(key, require_sound(job))

    async def _phonemize(self, texts: list[str], voice: str) -> list[str]:
        return await self._phonemizer.phonemize({"texts": texts, "voice": voice})

    async def _warm_up(self) -> None:
        """Speak once, so that the first phrase does not pay for the memory that the runtime allocates."""
        if self._voices:
            voice = self._voices[0]
            config = SynthesisConfig(voice, voice.languages[0])
            async with self.synthesize(PhraseRequest(0, _WARM_UP), config) as speech:
                async for _ in speech:
                    pass


def find_folder(settings: TtsSettings) -> Path:
    """The model's folder: the one in the settings as it is, or the one of the lock once verified."""
    if settings.kokoro_model is not None:
        return settings.kokoro_model
    return model_folder(MODEL, settings.models_lock, settings.models_dir)


def worker_options(folder: Path, threads: int) -> PhraseWorkerOptions:
    """The worker process over the model in `folder`."""
    return PhraseWorkerOptions(
        name="kokoro worker",
        command=(sys.executable, "-I", "-m", "tts_service.engines.kokoro", str(folder.resolve()), str(threads)),
        rate_hz=RATE_HZ,
        start_s=60.0,
        # A run of 80 phonemes takes 3 s on two slow cores, and phrases wait for each other.
        hang_s=15.0,
        ready_s=0.25,
        max_jobs=8,
        max_failed_restarts=3,
        environment={"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1"},
    )


def kokoro_engine(settings: TtsSettings) -> StreamAdapter:
    """Create the engine `kokoro`."""
    cache = PhraseCache(settings.phrase_cache_mib << 20)
    engine = KokoroEngine(settings, cache, PhraseWorker(ESPEAK_WORKER))
    return StreamAdapter(engine, ReplyLimits.from_settings(settings))
