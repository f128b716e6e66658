"""The engine `higgs` on tiny random weights, over real gRPC: its audio is noise, so the tests check behaviour."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import higgs_weights
import numpy as np
import pytest
from higgs_service import service, settings_for, spoken, write_folders
from service_kit.audio import to_float
from service_kit.engines.info import engine_class
from service_kit.errors import AnchorError, EngineFailed, InvalidRequest
from spoken_service import begun, pcm_of
from tts_service.engine import PhraseRequest, Samples, SynthesisConfig
from tts_service.engines import ENGINES
from tts_service.engines.higgs.config import HiggsConfig
from tts_service.engines.higgs.engine import HiggsEngine
from tts_service.engines.higgs.phrase_limits import max_phrase_frames
from tts_service.settings import TtsSettings

TEXT = "hello there"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folders(tmp_path_factory.mktemp("higgs"))


@pytest.fixture
def settings(folder: Path, tmp_path: Path) -> TtsSettings:
    return settings_for(folder, tmp_path / "voices")


@pytest.fixture
async def engine(settings: TtsSettings) -> AsyncGenerator[HiggsEngine]:
    made = HiggsEngine(HiggsConfig.from_settings(settings))
    async with made.lifespan():
        yield made


async def samples_of(engine: HiggsEngine, text: str, voice: int = 0) -> np.ndarray:
    config = SynthesisConfig(engine.voices()[voice], "en")
    async with engine.synthesize(PhraseRequest(0, text), config) as speech:
        pieces = [piece async for piece in speech]
    return np.concatenate([piece.samples for piece in pieces if isinstance(piece, Samples)])


async def test_reply_has_audio_and_word_marks(settings: TtsSettings) -> None:
    async with service(settings) as stubs:
        stub = stubs.tts
        events = await spoken(stub, TEXT)
    sound = to_float(pcm_of(events))
    assert 0.5 < sound.size / 24_000 < max_phrase_frames(TEXT) * 0.04 + 0.1
    assert sound.std() > 0.01
    marks = [
        (event.speech_mark.text_start, event.speech_mark.text_end) for event in events if event.HasField("speech_mark")
    ]
    assert marks == [(0, 5), (6, 11)]


async def test_same_seed_repeats_the_speech_beside_other_phrases(engine: HiggsEngine) -> None:
    alone = await samples_of(engine, TEXT)
    first, other, second = await asyncio.gather(
        samples_of(engine, TEXT), samples_of(engine, "quite another phrase"), samples_of(engine, TEXT)
    )
    assert np.array_equal(alone, first)
    assert np.array_equal(alone, second)
    assert other.size != alone.size or not np.array_equal(alone, other)


async def test_first_audio_comes_before_the_end_of_the_phrase(engine: HiggsEngine) -> None:
    config = SynthesisConfig(engine.voices()[0], "en")
    async with engine.synthesize(PhraseRequest(0, TEXT), config) as speech:
        sizes = [piece.samples.size // 960 async for piece in speech if isinstance(piece, Samples)]
    assert sizes[:3] == [4, 6, 10]
    assert engine.free_slots == 2


async def test_leaving_a_phrase_frees_the_slot(engine: HiggsEngine) -> None:
    config = SynthesisConfig(engine.voices()[0], "en")
    async with engine.synthesize(PhraseRequest(0, TEXT), config) as speech:
        await anext(speech)
        assert engine.free_slots == 1
    assert engine.free_slots == 2


async def test_cancelled_reply_frees_its_slot(settings: TtsSettings) -> None:
    async with service(settings) as stubs:
        stub = stubs.tts
        for _ in range(4):
            call = await begun(stub, TEXT)
            await call.read()
            call.cancel()
        assert pcm_of(await spoken(stub, TEXT))


async def test_wrong_folder_fails_the_start(settings: TtsSettings, folder: Path) -> None:
    wrong = settings.model_copy(update={"higgs_codec": folder / "model"})
    with pytest.raises(AnchorError, match="model_layout"):
        async with HiggsEngine(HiggsConfig.from_settings(wrong)).lifespan():
            pass


def test_missing_model_names_the_setting() -> None:
    with pytest.raises(InvalidRequest, match="TTS_HIGGS_MODEL"):
        engine_class(ENGINES, "higgs")(TtsSettings(engine="higgs"))


def pulled(settings: TtsSettings, folder: Path, tmp_path: Path) -> TtsSettings:
    """Put the model where `anchor pull` puts it, with its trust list."""
    models = tmp_path / "models"
    trusted: list[str] = []
    for name, model in (("higgs-audio-v2", "model"), ("higgs-audio-v2-tokenizer", "codec")):
        shutil.copytree(folder / model, models / name)
        for file in (models / name).iterdir():
            sha256, size = hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_size
            trusted.append(f"{{model='{name}', path='{file.name}', sha256='{sha256}', size_bytes={size}, commit=''}}")
    (models / "trusted.lock").write_text(f"file = [{','.join(trusted)}]")
    lock = Path(__file__).parents[2] / "models.lock"
    changes = {"higgs_model": None, "higgs_codec": None, "models_dir": models, "models_lock": lock}
    return settings.model_copy(update=changes)


async def test_pulled_model_is_found_and_verified(
    settings: TtsSettings, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    found = pulled(settings, folder, tmp_path)
    async with service(found) as stubs:
        assert pcm_of(await spoken(stubs.tts, TEXT))
    assert [record.verified for record in caplog.records if hasattr(record, "verified")] == [True, True]
    with (found.models_dir / "higgs-audio-v2/model.safetensors").open("r+b") as weights:
        weights.seek(-1, 2)
        weights.write(b"!")
    engine = HiggsEngine(HiggsConfig.from_settings(found))
    with pytest.raises(EngineFailed, match="anchor pull higgs-audio-v2") as refused:
        async with engine.lifespan():
            pass
    assert refused.value.code == "models.mismatch"
    assert await engine.memory() == {}


def test_importing_the_engine_does_not_import_torch() -> None:
    code = "import sys, tts_service.engines.higgs.engine; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_phrase_without_audio_is_retried_once(
    settings: TtsSettings, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ending = tmp_path / "model"
    higgs_weights.write_model(ending, endings=1e4)
    async with HiggsEngine(HiggsConfig.from_settings(settings.model_copy(update={"higgs_model": ending}))).lifespan():
        pass
    # The warm-up's phrase, which has no frames, whatever its seed.
    assert [record.message for record in caplog.records].count("phrase retried") == 1
