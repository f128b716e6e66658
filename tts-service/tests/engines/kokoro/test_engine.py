"""Real Kokoro-82M, where `anchor pull kokoro` has put it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from service_kit.errors import EngineFailed, root_cause
from tts_service.engine import PhraseRequest, Samples, Style
from tts_service.engines.espeak.engine import WORKER as ESPEAK_WORKER
from tts_service.engines.kokoro.engine import RATE_HZ, KokoroEngine
from tts_service.engines.phrase_worker.cache import PhraseCache
from tts_service.engines.phrase_worker.client import PhraseWorker
from tts_service.settings import TtsSettings
from tts_service.voices.catalogue import resolve_config

ROOT = Path(__file__).parents[4]
MODEL = ROOT / "models" / "kokoro"
# Generous: the model is slower than real time on a busy machine.
WITHIN_S = 120.0
SENTENCE = "Buenas noches a todos."

needs_model = pytest.mark.skipif(not MODEL.is_dir(), reason="no models/kokoro: anchor pull kokoro")


def kokoro(**settings: object) -> KokoroEngine:
    defaults = {"models_dir": ROOT / "models", "models_lock": ROOT / "models.lock"}
    options = TtsSettings(**(defaults | settings))  # type: ignore[arg-type]
    return KokoroEngine(options, PhraseCache(4 << 20), PhraseWorker(ESPEAK_WORKER))


@pytest.fixture
async def engine() -> AsyncIterator[KokoroEngine]:
    engine = kokoro(kokoro_model=MODEL)
    async with engine.lifespan():
        yield engine


async def speak(engine: KokoroEngine, text: str, language: str, voice: str = "") -> np.ndarray:
    sound = [np.zeros(0, np.float32)]
    config = resolve_config(engine.voices(), voice, language, Style())
    async with asyncio.timeout(WITHIN_S), engine.synthesize(PhraseRequest(0, text), config) as speech:
        async for piece in speech:
            sound += [piece.samples] if isinstance(piece, Samples) else []
    return np.concatenate(sound)


@pytest.mark.pulled
@needs_model
async def test_each_language_is_spoken_at_the_level_of_the_others(engine: KokoroEngine) -> None:
    for language, text in {"es": SENTENCE, "it": "Buonasera a tutti.", "en": "Good evening."}.items():
        sound = await speak(engine, text, language)
        assert 0.5 < sound.size / RATE_HZ < 4, language
        assert 0.2 < np.abs(sound).max() < 0.8, language


@pytest.mark.pulled
@needs_model
async def test_a_cancelled_phrase_frees_the_model_at_once(engine: KokoroEngine) -> None:
    config = resolve_config(engine.voices(), "", "es", Style())
    loop = asyncio.get_running_loop()
    async with engine.synthesize(PhraseRequest(0, "Buenas noches a todos y a todas, " * 4), config):
        await asyncio.sleep(0.2)
    started_s = loop.time()
    await speak(engine, "Sí.", "es")
    short_s = loop.time() - started_s
    started_s = loop.time()
    await speak(engine, "No.", "es")
    # The rest of the cancelled phrase would take ten times as long as a word.
    assert short_s < 3 * (loop.time() - started_s) + 0.5


async def test_a_missing_model_is_said_with_the_command_that_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match="anchor pull kokoro") as failed:
        async with kokoro(models_dir=tmp_path).lifespan():
            pass
    assert failed.value.code == "models.missing"


async def test_a_folder_without_a_model_does_not_start(tmp_path: Path) -> None:
    # The worker's failure ends the task group of the other worker.
    with pytest.raises((EngineFailed, ExceptionGroup)) as failed:
        async with kokoro(kokoro_model=tmp_path).lifespan():
            pass
    cause = root_cause(failed.value)
    assert isinstance(cause, EngineFailed)
    assert cause.code == "tts.model_broken"


async def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kokoro").mkdir()
    (tmp_path / "kokoro" / "kokoro-v1.0.int8.onnx").write_bytes(b"half fetched")
    with pytest.raises(EngineFailed) as failed:
        async with kokoro(models_dir=tmp_path).lifespan():
            pass
    assert failed.value.code == "models.mismatch"
