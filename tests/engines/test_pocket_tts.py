"""The engine `pocket-tts` on tiny random weights: its audio is noise, so the tests check behaviour."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pocket_weights
import pytest
import torch
import yaml
from offline import spoken_offline
from pocket_tts.utils.utils import get_predefined_voice
from safetensors.torch import load_file, save_file
from service_kit.audio import to_float
from service_kit.engines.hub import read_hub_entries
from service_kit.engines.info import engine_class
from service_kit.errors import EngineFailed, InvalidRequest, Unsupported
from spoken_service import begun, folder_beside, in_voice, pcm_of, recording, service, spoken
from torch.nn import functional
from tts_service.engine import PhraseRequest, Samples
from tts_service.engines import ENGINES
from tts_service.engines.phrase_limits import max_frames
from tts_service.engines.pocket_tts import loading
from tts_service.engines.pocket_tts.engine import PocketConfig, PocketEngine
from tts_service.settings import TtsSettings

TEXT = "hello there"
LONG_TEXT = "hello " * 30
SHORT = PhraseRequest(0, TEXT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pocket") / "english"
    pocket_weights.write_folder(made)
    return made


@pytest.fixture
def settings(folder: Path, tmp_path: Path) -> TtsSettings:
    return TtsSettings(engine="pocket-tts", pocket_model=folder, pocket_voices=tmp_path / "voices")


@pytest.fixture
async def engine(settings: TtsSettings) -> AsyncGenerator[PocketEngine]:
    made = PocketEngine(PocketConfig.from_settings(settings))
    async with made.lifespan():
        yield made


async def samples_of(engine: PocketEngine, text: str, voice: int = 0) -> np.ndarray:
    async with engine.synthesize(PhraseRequest(0, text), in_voice(engine.voices()[voice])) as speech:
        return np.concatenate([piece.samples async for piece in speech if isinstance(piece, Samples)])


async def loads(settings: TtsSettings, folder: Path) -> list[str]:
    """Load and unload the folder's model; the voices it had."""
    engine = PocketEngine(PocketConfig.from_settings(settings.model_copy(update={"pocket_model": folder})))
    async with engine.lifespan():
        return [voice.id for voice in engine.voices()]


async def test_reply_has_audio_and_word_marks(settings: TtsSettings) -> None:
    async with service(settings) as stub:
        events = await spoken(stub, TEXT)
    sound = to_float(pcm_of(events))
    assert 0.5 < sound.size / 24_000 <= max_frames(TEXT, 1) / 1000 + 0.1
    assert sound.std() > 0.01
    marks = [
        (event.speech_mark.text_start, event.speech_mark.text_end) for event in events if event.HasField("speech_mark")
    ]
    assert marks == [(0, 5), (6, 11)]


async def test_first_audio_comes_before_the_end_of_the_phrase(engine: PocketEngine) -> None:
    async with engine.synthesize(PhraseRequest(0, LONG_TEXT), in_voice(engine.voices()[0])) as speech:
        sizes = [piece.samples.size async for piece in speech if isinstance(piece, Samples)]
    # One frame of 80 ms, or several that were ready together.
    assert sizes[0] % 1920 == 0
    assert sizes[0] < sum(sizes) / 2


async def test_same_seed_repeats_the_speech_and_another_does_not(engine: PocketEngine, settings: TtsSettings) -> None:
    first, second = await samples_of(engine, TEXT), await samples_of(engine, TEXT)
    # The number of frames that the codec gets at once depends on time, and the last bits of a sample on that.
    assert first.size == second.size
    assert np.allclose(first, second, atol=1e-4)
    other = PocketEngine(PocketConfig.from_settings(settings.model_copy(update={"pocket_seed": 2})))
    async with other.lifespan():
        assert not np.allclose(first, await samples_of(other, TEXT), atol=1e-2)


async def test_leaving_a_phrase_stops_the_model_and_frees_the_slot(engine: PocketEngine) -> None:
    before = threading.active_count()
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    await samples_of(engine, LONG_TEXT)
    whole_s = loop.time() - began_s
    async with engine.synthesize(PhraseRequest(0, LONG_TEXT), in_voice(engine.voices()[0])) as speech:
        await anext(speech)
        assert engine.free_slots == 0
        assert threading.active_count() > before
        left_s = loop.time()
    assert engine.free_slots == 1
    assert loop.time() - left_s < whole_s / 2
    assert threading.active_count() == before


async def test_cancelled_reply_frees_its_slot(settings: TtsSettings) -> None:
    async with service(settings) as stub:
        for _ in range(4):
            call = await begun(stub, TEXT)
            await call.read()
            call.cancel()
        assert pcm_of(await spoken(stub, TEXT))


async def test_slots_share_the_weights(settings: TtsSettings) -> None:
    engine = PocketEngine(PocketConfig.from_settings(settings.model_copy(update={"pocket_slots": 2})))
    async with engine.lifespan():
        voice = in_voice(engine.voices()[0])
        async with engine.synthesize(SHORT, voice) as first, engine.synthesize(SHORT, voice) as second:
            assert await anext(first)
            assert await anext(second)
            assert engine.free_slots == 0
            loaded, _ = engine._ready
            one, other = (next(model.parameters()).data_ptr() for model in loaded.models)
            assert one == other


async def test_end_of_the_model_ends_the_phrase(settings: TtsSettings, folder: Path, tmp_path: Path) -> None:
    ending = folder_beside(folder, tmp_path)
    config = json.loads((ending / "config.yaml").read_text())
    (ending / "config.yaml").write_text(json.dumps(config | {"default_eos_threshold": -1e9}))
    made = PocketEngine(PocketConfig.from_settings(settings.model_copy(update={"pocket_model": ending})))
    async with made.lifespan():
        assert 6 * 1920 <= (await samples_of(made, TEXT)).size < 16 * 1920


@pytest.mark.parametrize("name", ["config.yaml", "model.safetensors", "tokenizer.json"])
async def test_missing_file_is_named(settings: TtsSettings, folder: Path, tmp_path: Path, name: str) -> None:
    spoilt = folder_beside(folder, tmp_path)
    (spoilt / name).unlink()
    with pytest.raises(EngineFailed, match=rf"model_layout.*no {name} in .*put"):
        await loads(settings, spoilt)


@pytest.mark.parametrize(("name", "content"), [("model.safetensors", b"\0" * 100), ("config.yaml", b"a: [")])
async def test_broken_file_is_named(
    settings: TtsSettings, folder: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    spoilt = folder_beside(folder, tmp_path)
    (spoilt / name).write_bytes(content)
    with pytest.raises(EngineFailed, match=rf"model_broken.*{name} cannot be read.*copy"):
        await loads(settings, spoilt)


async def test_files_of_two_models_leave_nothing_loaded(settings: TtsSettings, folder: Path, tmp_path: Path) -> None:
    spoilt = folder_beside(folder, tmp_path)
    config = json.loads((spoilt / "config.yaml").read_text())
    config["flow_lm"]["transformer"]["num_layers"] = 3
    (spoilt / "config.yaml").write_text(json.dumps(config))
    engine = PocketEngine(PocketConfig.from_settings(settings.model_copy(update={"pocket_model": spoilt})))
    with pytest.raises(EngineFailed, match=r"model_layout.*not of one model"):
        async with engine.lifespan():
            pass
    with pytest.raises(EngineFailed, match="not_loaded"):
        await engine.add_voice("Ana", recording(3), "hello", "en")
    assert engine.voices() == ()


async def test_voice_of_another_model_is_refused(settings: TtsSettings, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    pocket_weights.write_folder(other, layers=3)
    spoilt = folder_beside(folder, tmp_path)
    state = (other / "voices" / "alba.safetensors").read_bytes()
    (spoilt / "voices" / "stranger.safetensors").write_bytes(state)
    with pytest.raises(EngineFailed, match=r"voice_broken.*stranger"):
        await loads(settings, spoilt)
    (spoilt / "voices" / "stranger.safetensors").unlink()
    (spoilt / "voices" / "broken.safetensors").write_bytes(b"no voice")
    with pytest.raises(EngineFailed, match=r"voice_broken.*broken"):
        await loads(settings, spoilt)


async def test_padded_voice_is_accepted_and_voice_with_nan_is_refused(
    settings: TtsSettings, folder: Path, tmp_path: Path
) -> None:
    spoilt = folder_beside(folder, tmp_path)
    state = load_file(spoilt / "voices" / "alba.safetensors")
    caches = {name: tensor for name, tensor in state.items() if name.endswith("/cache")}
    roomy = {name: functional.pad(tensor, (0, 0, 0, 0, 0, 9), value=torch.nan) for name, tensor in caches.items()}
    save_file(state | roomy, spoilt / "voices" / "roomy.safetensors")
    assert await loads(settings, spoilt) == ["alba", "roomy"]
    for tensor in caches.values():
        tensor[:, :, 3] = torch.nan
    save_file(state, spoilt / "voices" / "torn.safetensors")
    with pytest.raises(EngineFailed, match=r"voice_broken.*torn"):
        await loads(settings, spoilt)


async def test_broken_cloned_voice_is_skipped(settings: TtsSettings, folder: Path) -> None:
    assert settings.pocket_voices is not None
    lost = settings.pocket_voices / "lost"
    lost.mkdir(parents=True)
    (lost / "voice.json").write_text('{"name": "Lost", "languages": ["en"], "transcript": ""}')
    (lost / "voice.safetensors").write_bytes(b"no voice")
    assert await loads(settings, folder) is not None


async def test_model_without_voices_is_refused_with_advice(settings: TtsSettings, folder: Path, tmp_path: Path) -> None:
    spoilt = folder_beside(folder, tmp_path)
    (spoilt / "voices" / "alba.safetensors").unlink()
    with pytest.raises(EngineFailed, match=r"no_voice.*export-voice"):
        await loads(settings, spoilt)


async def test_pulled_weights_have_the_configuration_of_the_package(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, packaged = tmp_path / "models", tmp_path / "packaged"
    packaged.mkdir()
    models.mkdir()
    pulled = models / "pocket-tts-de"
    folder_beside(folder, tmp_path).rename(pulled)
    (pulled / "config.yaml").rename(packaged / "german.yaml")
    monkeypatch.setattr(loading, "_PACKAGED", packaged)
    settings = TtsSettings(
        engine="pocket-tts", pocket_language="de", models_dir=models, pocket_voices=tmp_path / "voices"
    )
    engine = PocketEngine(PocketConfig.from_settings(settings))
    async with engine.lifespan():
        assert [voice.languages for voice in engine.voices()] == [("de",)]
        with pytest.raises(Unsupported, match="anchor pull pocket-tts-cloning-de"):
            engine.cloning_languages()
    pulled.rename(models / "pocket-tts-cloning-de")
    engine = PocketEngine(PocketConfig.from_settings(settings))
    async with engine.lifespan():
        assert engine.cloning_languages() == ("de",)


def test_every_pulled_language_has_a_configuration_with_the_pinned_weights() -> None:
    entries = read_hub_entries(Path(__file__).parents[2] / "models.lock")
    for code, name in loading._LANGUAGES.items():
        suffix = "" if code == "en" else f"-{code}"
        config = yaml.safe_load((loading._PACKAGED / f"{name}.yaml").read_text("utf-8"))
        tokenizer = config["flow_lm"]["lookup_table"]["tokenizer_path"]
        for model, key in (("pocket-tts-cloning", ""), ("pocket-tts", "_without_voice_cloning")):
            entry = entries[f"{model}{suffix}"]
            places = {file.path: entry.origin_of(file) for file in entry.files}
            paths = {file.path: entry.path_in_repository(file) for file in entry.files}
            for file, url in (("model.safetensors", config[f"weights_path{key}"]), ("tokenizer.json", tokenizer)):
                repository, revision = places[file]
                assert url == f"hf://{repository}/{paths[file]}@{revision}", entry.name
            voices = [file for file in entry.files if file.path.startswith("voices/")]
            assert voices
            for voice in voices:
                repository, revision = places[voice.path]
                url = get_predefined_voice(name, Path(voice.path).stem)
                assert url == f"hf://{repository}/{paths[voice.path]}@{revision}"


def test_missing_model_names_the_setting() -> None:
    with pytest.raises(InvalidRequest, match="TTS_POCKET_MODEL"):
        engine_class(ENGINES, "pocket-tts")(TtsSettings(engine="pocket-tts"))


def test_importing_the_engine_does_not_import_torch() -> None:
    code = (
        "import sys, tts_service.engines.pocket_tts.engine as e; sys.exit(bool({'torch', 'yaml'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_network_access_although_the_config_names_a_hub(settings: TtsSettings, folder: Path, tmp_path: Path) -> None:
    assert pocket_weights.HUB in (folder / "config.yaml").read_text()
    wav = tmp_path / "ana.wav"
    wav.write_bytes(recording(2.5))
    assert spoken_offline(settings.model_dump_json(), "pocket-tts", wav) > 1
