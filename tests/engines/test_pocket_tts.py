"""Pocket TTS on tiny random weights: what it says is noise, how it behaves is what counts."""
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
from anchor.tts.v1 import tts_pb2 as pb
from grpc import StatusCode, aio
from offline import spoken_offline
from safetensors.torch import load_file, save_file
from service_kit.audio import to_float
from service_kit.engines.info import engine_class
from service_kit.errors import EngineFailed, InvalidRequest, NotFound, Unsupported
from spoken_service import begun, folder_beside, in_voice, pcm_of, recording, service, spoken
from torch.nn import functional
from tts_service.engine import PhraseRequest, Samples
from tts_service.engines import ENGINES
from tts_service.engines.phrase_limits import max_frames
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


async def test_a_reply_is_spoken_with_its_words_marked(settings: TtsSettings) -> None:
    async with service(settings) as stub:
        events = await spoken(stub, TEXT)
    sound = to_float(pcm_of(events))
    assert 0.5 < sound.size / 24_000 <= max_frames(TEXT, 1) / 1000 + 0.1
    assert sound.std() > 0.01
    marks = [
        (event.speech_mark.text_start, event.speech_mark.text_end) for event in events if event.HasField("speech_mark")
    ]
    assert marks == [(0, 5), (6, 11)]


async def test_the_first_sound_comes_while_the_model_still_speaks(engine: PocketEngine) -> None:
    async with engine.synthesize(PhraseRequest(0, LONG_TEXT), in_voice(engine.voices()[0])) as speech:
        sizes = [piece.samples.size async for piece in speech if isinstance(piece, Samples)]
    # A frame of 80 ms at a time, or those that were ready together.
    assert sizes[0] % 1920 == 0
    assert sizes[0] < sum(sizes) / 2


async def test_the_same_seed_speaks_the_same_way_and_another_differently(
    engine: PocketEngine, settings: TtsSettings
) -> None:
    first, second = await samples_of(engine, TEXT), await samples_of(engine, TEXT)
    # How many frames the codec gets at once depends on time, and the last bits of a number on that.
    assert first.size == second.size
    assert np.allclose(first, second, atol=1e-4)
    other = PocketEngine(PocketConfig.from_settings(settings.model_copy(update={"pocket_seed": 2})))
    async with other.lifespan():
        assert not np.allclose(first, await samples_of(other, TEXT), atol=1e-2)


async def test_leaving_in_mid_phrase_ends_the_model_and_frees_its_place(engine: PocketEngine) -> None:
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


async def test_a_cancelled_reply_makes_room_for_the_next(settings: TtsSettings) -> None:
    async with service(settings) as stub:
        for _ in range(4):
            call = await begun(stub, TEXT)
            await call.read()
            call.cancel()
        assert pcm_of(await spoken(stub, TEXT))


async def test_phrases_side_by_side_share_the_weights(settings: TtsSettings) -> None:
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


async def test_a_model_that_ends_by_itself_ends_the_phrase(settings: TtsSettings, folder: Path, tmp_path: Path) -> None:
    ending = folder_beside(folder, tmp_path)
    config = json.loads((ending / "config.yaml").read_text())
    (ending / "config.yaml").write_text(json.dumps(config | {"default_eos_threshold": -1e9}))
    made = PocketEngine(PocketConfig.from_settings(settings.model_copy(update={"pocket_model": ending})))
    async with made.lifespan():
        assert 6 * 1920 <= (await samples_of(made, TEXT)).size < 16 * 1920


async def test_a_voice_is_learned_spoken_with_kept_and_forgotten(settings: TtsSettings) -> None:
    async with service(settings) as stub:
        plain = pcm_of(await spoken(stub, TEXT))
        request = pb.AddVoiceRequest(
            name="Ana", reference_wav=recording(3), reference_transcript="hello all", language="en-GB"
        )
        voice = (await stub.AddVoice(request)).voice
        assert voice.cloned
        cloned = to_float(pcm_of(await spoken(stub, TEXT, voice.id)))
        assert not np.allclose(cloned, to_float(plain)[: cloned.size], atol=5e-3)
    async with service(settings) as stub:
        assert [known.id for known in (await stub.ListVoices(pb.ListVoicesRequest())).voices] == ["alba", voice.id]
        again = to_float(pcm_of(await spoken(stub, TEXT, voice.id)))
        assert np.allclose(again, cloned, atol=1e-3)
        await stub.DeleteVoice(pb.DeleteVoiceRequest(voice_id=voice.id))
        assert [known.id for known in (await stub.ListVoices(pb.ListVoicesRequest())).voices] == ["alba"]
        with pytest.raises(aio.AioRpcError) as refused:
            await spoken(stub, TEXT, voice.id)
        assert refused.value.code() is StatusCode.INVALID_ARGUMENT


async def test_what_cannot_be_learned_is_refused(engine: PocketEngine, settings: TtsSettings) -> None:
    with pytest.raises(InvalidRequest, match="unknown_language"):
        await engine.add_voice("Ana", recording(3), "hola", "es")
    for wav, code in (
        (recording(1), "reference_length"),
        (recording(20), "reference_length"),
        (recording(3, rate_hz=8000), "reference_wav"),
        (recording(3, loudness=0), "reference_silent"),
        (b"no sound", "reference_wav"),
    ):
        with pytest.raises(InvalidRequest, match=code):
            await engine.add_voice("Ana", wav, "hello", "en")
    with pytest.raises(NotFound, match="unknown_voice"):
        await engine.delete_voice("alba")
    deaf = PocketEngine(PocketConfig.from_settings(settings.model_copy(update={"pocket_voices": None})))
    async with deaf.lifespan():
        with pytest.raises(Unsupported, match="TTS_POCKET_VOICES"):
            await deaf.add_voice("Ana", recording(3), "hello", "en")


@pytest.mark.parametrize("name", ["config.yaml", "model.safetensors", "tokenizer.json"])
async def test_a_missing_file_is_named(settings: TtsSettings, folder: Path, tmp_path: Path, name: str) -> None:
    spoilt = folder_beside(folder, tmp_path)
    (spoilt / name).unlink()
    with pytest.raises(EngineFailed, match=rf"model_layout.*no {name} in .*put"):
        await loads(settings, spoilt)


@pytest.mark.parametrize(("name", "content"), [("model.safetensors", b"\0" * 100), ("config.yaml", b"a: [")])
async def test_a_broken_file_is_named(
    settings: TtsSettings, folder: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    spoilt = folder_beside(folder, tmp_path)
    (spoilt / name).write_bytes(content)
    with pytest.raises(EngineFailed, match=rf"model_broken.*{name} cannot be read.*copy"):
        await loads(settings, spoilt)


async def test_files_of_two_models_are_refused_and_nothing_stays_loaded(
    settings: TtsSettings, folder: Path, tmp_path: Path
) -> None:
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


async def test_a_voice_of_another_model_is_refused(settings: TtsSettings, folder: Path, tmp_path: Path) -> None:
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


async def test_a_voice_with_room_behind_it_is_taken_and_one_with_a_hole_is_not(
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


async def test_an_added_voice_that_broke_is_left_alone(settings: TtsSettings, folder: Path) -> None:
    assert settings.pocket_voices is not None
    lost = settings.pocket_voices / "lost"
    lost.mkdir(parents=True)
    (lost / "voice.json").write_text('{"name": "Lost", "languages": ["en"], "transcript": ""}')
    (lost / "voice.safetensors").write_bytes(b"no voice")
    assert await loads(settings, folder) is not None


async def test_a_model_without_voices_says_where_to_put_one(
    settings: TtsSettings, folder: Path, tmp_path: Path
) -> None:
    spoilt = folder_beside(folder, tmp_path)
    (spoilt / "voices" / "alba.safetensors").unlink()
    with pytest.raises(EngineFailed, match=r"no_voice.*export-voice"):
        await loads(settings, spoilt)


def test_without_a_model_the_engine_says_what_is_missing() -> None:
    with pytest.raises(InvalidRequest, match="TTS_POCKET_MODEL"):
        engine_class(ENGINES, "pocket-tts")(TtsSettings(engine="pocket-tts"))


def test_choosing_the_engine_loads_no_torch() -> None:
    code = (
        "import sys, tts_service.engines.pocket_tts.engine as e; sys.exit(bool({'torch', 'yaml'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_network_is_asked_though_the_configuration_names_a_hub(
    settings: TtsSettings, folder: Path, tmp_path: Path
) -> None:
    assert pocket_weights.HUB in (folder / "config.yaml").read_text()
    wav = tmp_path / "ana.wav"
    wav.write_bytes(recording(2.5))
    assert spoken_offline(settings.model_dump_json(), "pocket-tts", wav) > 1
