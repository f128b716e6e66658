"""The engine `hibari`: a small neural English voice, one phrase at a time, in a worker process."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from service_kit.engines.info import EngineInfo

from tts_service.engine import PhraseRequest, Speech, SynthesisConfig, Voice
from tts_service.engines.hibari.package import VERSION
from tts_service.engines.phrase_worker.cache import PhraseCache, PhraseKey, replay
from tts_service.engines.phrase_worker.client import PhraseWorker, PhraseWorkerOptions, require_sound
from tts_service.settings import TtsSettings
from tts_service.synthesis.stream import ReplyLimits, StreamAdapter

RATE_HZ = 24_000
VOICES = (Voice(id="heart", name="Heart, American English", languages=("en",)),)

WORKER = PhraseWorkerOptions(
    name="hibari worker",
    # -I: no user site, no PYTHON... variables, and not the current folder.
    command=(sys.executable, "-I", "-m", "tts_service.engines.hibari"),
    rate_hz=RATE_HZ,
    # 0.8 s on an idle machine; a start of the whole mesh loads several models at once.
    start_s=60.0,
    # A phrase takes 50 ms, and phrases wait for each other.
    hang_s=3.0,
    # While a worker is replaced, which takes 1.5 s, the fallback speaks.
    ready_s=0.25,
    max_jobs=64,
    max_failed_restarts=3,
    # One thread; spinning threads cost 100 ms of CPU time a phrase.
    environment={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
)


class HibariEngine:
    """A `PhraseEngine` over hibari-tts; a hundred times faster than real time on one core."""

    def __init__(self, worker: PhraseWorker, cache: PhraseCache) -> None:
        self._worker = worker
        self._cache = cache

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            name="hibari",
            model="hibari-tts heart",
            version=self._worker.version or VERSION,
            languages=("en",),
            sample_rate_hz=RATE_HZ,
            notes={
                "licence": "Apache-2.0",
                "sockets": "refused by the kernel" if self._worker.isolated else "refused by Python only",
            },
            style_fields=("pace",),
        )

    def voices(self) -> Sequence[Voice]:
        return VOICES

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        # The worker warms up before its handshake.
        async with self._worker.running():
            yield

    @asynccontextmanager
    async def synthesize(self, phrase: PhraseRequest, config: SynthesisConfig) -> AsyncGenerator[AsyncIterator[Speech]]:
        key = PhraseKey(phrase.text, config.voice.id, config.style.pace, config.language)
        cached = self._cache.get(key)
        if cached is not None:
            yield replay(cached)
            return
        async with self._worker.speak({"text": phrase.text, "pace": config.style.pace}) as job:
            yield self._cache.record(key, require_sound(job))


def hibari_engine(settings: TtsSettings) -> StreamAdapter:
    """Create the engine `hibari`."""
    cache = PhraseCache(settings.phrase_cache_mib << 20)
    return StreamAdapter(HibariEngine(PhraseWorker(WORKER), cache), ReplyLimits.from_settings(settings))
