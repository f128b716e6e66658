"""The built-in voice of the engine `higgs` on tiny random weights: the same reference in every phrase."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import higgs_weights
import httpx
import numpy as np
import pytest
from higgs_service import settings_for, write_folders
from safetensors.torch import load_file, save_file
from tts_service.app import build
from tts_service.engine import PhraseRequest, SynthesisConfig
from tts_service.engines.higgs import default_voice
from tts_service.engines.higgs.config import HiggsConfig
from tts_service.engines.higgs.delay import Codebooks, apply_delay
from tts_service.engines.higgs.engine import HiggsEngine
from tts_service.engines.higgs.model.step import SpeechModel
from tts_service.settings import TtsSettings

BOOKS = Codebooks(8, 1024, 1025)
# Weights that are about as likely to end within a short text's time as not.
ENDING = 1.3
SHORT_TEXTS = {"en": "It is so.", "de": "So ist es."}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folders(tmp_path_factory.mktemp("higgs-default"))


@pytest.fixture
def settings(folder: Path, tmp_path: Path) -> TtsSettings:
    return settings_for(folder, tmp_path / "voices")


@pytest.fixture
def unmade(settings: TtsSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TtsSettings:
    """Settings without references, which are short."""
    monkeypatch.setattr(default_voice, "REFERENCE_TEXTS", SHORT_TEXTS)
    shutil.rmtree(tmp_path / "voices/.default-voice")
    return settings


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> list[list[np.ndarray]]:
    """The blocks of codes in each prompt that the model reads."""
    read: list[list[np.ndarray]] = []
    prefill = SpeechModel.prefill

    def recorded(model: SpeechModel, slot: int, pieces: list[Any], start: int) -> int:
        read.append([piece for piece in pieces if not isinstance(piece, tuple)])
        return prefill(model, slot, pieces, start)

    monkeypatch.setattr(SpeechModel, "prefill", recorded)
    return read


async def begin_phrase(engine: HiggsEngine, text: str, language: str = "en") -> None:
    """Speak the first piece of a phrase in the built-in voice, whose prefix is read again."""
    config = SynthesisConfig(engine.voices()[0], language)
    engine._ready[0].slots.evict_voice(f"higgs/{language}")
    async with engine.synthesize(PhraseRequest(0, text), config) as speech:
        await anext(speech)


async def test_all_phrases_have_the_same_block_of_codes(settings: TtsSettings, blocks: list[list[np.ndarray]]) -> None:
    engine = HiggsEngine(HiggsConfig.from_settings(settings))
    async with engine.lifespan():
        blocks.clear()
        await begin_phrase(engine, "hello there")
        await begin_phrase(engine, "quite another sentence")
        # Each has a prefix and its own text.
        assert [len(prompt) for prompt in blocks] == [1, 0, 1, 0]
        assert np.array_equal(blocks[0][0], blocks[2][0])
        reference = engine._default_voice.find_reference("en")
        assert reference is not None
        assert np.array_equal(blocks[0][0], apply_delay(reference.frames, BOOKS))
        assert len(reference.frames) == 200
        # And of the cached prefix, its keys and values.
        prefix = engine._ready[0].slots._prefixes["higgs/en", default_voice_scene(engine)]
        assert prefix[0].shape[2] > len(blocks[0][0])
        await begin_phrase(engine, "hallo", "de")
        assert not np.array_equal(blocks[0][0], blocks[4][0])


def default_voice_scene(engine: HiggsEngine) -> str:
    return next(scene for voice, scene in engine._ready[0].slots._prefixes if voice == "higgs/en")


async def test_first_start_makes_the_references_and_a_restart_uses_them(
    unmade: TtsSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture, blocks: list[list[np.ndarray]]
) -> None:
    caplog.set_level("INFO")
    first = HiggsEngine(HiggsConfig.from_settings(unmade))
    stages: list[str] = []
    first.on_stage = stages.append
    async with first.lifespan():
        assert first._default_voice.missing_languages == []
        blocks.clear()
        await begin_phrase(first, "hello there")
    files = sorted((tmp_path / "voices/.default-voice").iterdir())
    assert [path.name for path in files] == ["de.json", "en.json"]
    times = [path.stat().st_mtime_ns for path in files]
    assert stages == ["speaking the reference of the default voice in en, de", ""]
    # Random weights never end a phrase.
    assert caplog.messages.count("reference of the default voice was cut") == 2
    second = HiggsEngine(HiggsConfig.from_settings(unmade))
    async with second.lifespan():
        await begin_phrase(second, "another phrase")
    assert [path.stat().st_mtime_ns for path in files] == times
    assert caplog.messages.count("default voice made") == 1
    assert np.array_equal(blocks[0][0], blocks[-2][0])


async def test_references_are_made_again_for_other_weights(unmade: TtsSettings, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "model", tmp_path / "other")
    weights = load_file(folder / "model/model.safetensors")
    weights["audio_lm_head.weight"] *= 0.8
    save_file(weights, tmp_path / "other/model.safetensors", {"format": "pt"})
    spoken: list[np.ndarray] = []
    for settings in (unmade, unmade.model_copy(update={"higgs_model": tmp_path / "other"})):
        engine = HiggsEngine(HiggsConfig.from_settings(settings))
        async with engine.lifespan():
            reference = engine._default_voice.find_reference("en")
            assert reference is not None
            spoken.append(reference.frames)
    assert not np.array_equal(*spoken)


async def test_phrase_that_ends_by_itself_is_the_reference(
    unmade: TtsSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ending").mkdir()
    higgs_weights.write_model(tmp_path / "ending", endings=ENDING)
    engine = HiggsEngine(HiggsConfig.from_settings(unmade.model_copy(update={"higgs_model": tmp_path / "ending"})))
    async with engine.lifespan():
        reference = engine._default_voice.find_reference("en")
    assert reference is not None
    assert default_voice.is_long_enough("en", len(reference.frames))
    assert len(reference.frames) < default_voice.max_reference_frames("en")


async def test_model_that_speaks_nothing_has_no_reference(
    unmade: TtsSettings, tmp_path: Path, blocks: list[list[np.ndarray]]
) -> None:
    (tmp_path / "silent").mkdir()
    higgs_weights.write_model(tmp_path / "silent", endings=1e4)
    engine = HiggsEngine(HiggsConfig.from_settings(unmade.model_copy(update={"higgs_model": tmp_path / "silent"})))
    async with engine.lifespan():
        assert engine._default_voice.missing_languages == ["en", "de"]
        assert engine.free_slots == 2
    assert not any(blocks)


async def test_time_for_the_references_is_bounded(
    unmade: TtsSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tts_service.engines.higgs.engine._REFERENCES_TIMEOUT_S", 0.05)
    engine = HiggsEngine(HiggsConfig.from_settings(unmade))
    async with engine.lifespan():
        assert engine._default_voice.missing_languages
        assert engine.free_slots == 2
        await begin_phrase(engine, "hello there")
    assert "default voice not complete in time" in caplog.messages


async def test_short_context_leaves_the_reference_out(
    settings: TtsSettings, caplog: pytest.LogCaptureFixture, blocks: list[list[np.ndarray]]
) -> None:
    engine = HiggsEngine(HiggsConfig.from_settings(settings.model_copy(update={"higgs_context_tokens": 768})))
    async with engine.lifespan():
        await begin_phrase(engine, "hello there")
    assert not any(blocks)
    assert "default voice has no reference" in caplog.messages


async def test_readiness_names_the_stage(unmade: TtsSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    made = asyncio.Event()
    complete = HiggsEngine._speak_reference

    async def waiting(engine: HiggsEngine, language: str) -> None:
        await made.wait()
        await complete(engine, language)

    monkeypatch.setattr(HiggsEngine, "_speak_reference", waiting)
    changes = {"grpc_port": 0, "http_port": 0, "fallback_engines": ()}
    service = build(unmade.model_copy(update=changes))
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    async with asyncio.timeout(60), httpx.AsyncClient() as http:
        while not service.health.reason:
            await asyncio.sleep(0.01)
        ready = await http.get(f"http://127.0.0.1:{service.http_port}/ready")
        assert ready.status_code == 503
        assert "speaking the reference of the default voice in en, de" in ready.text
        made.set()
        while not service.health.ready:
            await asyncio.sleep(0.01)
        assert service.health.reason == ""
    stop.set()
    await running
