"""Memory reports, parking and waking of the engine `higgs`, over real gRPC."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import gc
import shutil
import weakref
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import torch
from anchor.memory.v1 import memory_pb2 as memory
from anchor.tts.v1 import tts_pb2 as pb
from grpc import StatusCode, aio
from higgs_service import Stubs, service, settings_for, spoken, write_folders
from service_kit.engines.memory import MemoryKind, ParkableEngine
from service_kit.errors import ERROR_CODE_KEY
from spoken_service import CONSENT, begun, pcm_of, recording, rest_of
from tts_service.engine import PhraseRequest, SynthesisConfig
from tts_service.engines.higgs.config import HiggsConfig
from tts_service.engines.higgs.engine import HiggsEngine, higgs_engine
from tts_service.engines.higgs.model.loaded_model import LoadedHiggs
from tts_service.settings import TtsSettings

TEXT = "hello there"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folders(tmp_path_factory.mktemp("higgs-parking"))


@pytest.fixture
def settings(folder: Path, tmp_path: Path) -> TtsSettings:
    return settings_for(folder, tmp_path / "voices")


@pytest.fixture
async def stubs(settings: TtsSettings) -> AsyncGenerator[Stubs]:
    async with service(settings) as made:
        yield made


async def state(stubs: Stubs) -> memory.EngineState:
    return (await stubs.memory.GetMemory(memory.GetMemoryRequest())).state


def code_of(error: aio.AioRpcError) -> str:
    return str(dict(error.trailing_metadata() or ())[ERROR_CODE_KEY])


async def refusal_to_park(stubs: Stubs) -> str | None:
    try:
        await stubs.memory.Park(memory.ParkRequest())
    except aio.AioRpcError as error:
        return code_of(error)
    return None


async def test_woken_engine_speaks_as_before(stubs: Stubs) -> None:
    before = pcm_of(await spoken(stubs.tts, TEXT))
    await stubs.memory.Park(memory.ParkRequest())
    assert await state(stubs) == memory.ENGINE_STATE_PARKED
    await stubs.memory.Wake(memory.WakeRequest())
    assert await state(stubs) == memory.ENGINE_STATE_AWAKE
    assert pcm_of(await spoken(stubs.tts, TEXT)) == before


async def test_lazy_engine_loads_when_woken(settings: TtsSettings) -> None:
    async with service(settings.model_copy(update={"higgs_lazy": True})) as stubs:
        assert await state(stubs) == memory.ENGINE_STATE_PARKED
        with pytest.raises(aio.AioRpcError) as refused:
            await spoken(stubs.tts, TEXT)
        assert code_of(refused.value) == "tts.parked"
        await stubs.memory.Wake(memory.WakeRequest())
        assert pcm_of(await spoken(stubs.tts, TEXT))


async def test_parking_and_waking_are_idempotent(stubs: Stubs) -> None:
    await stubs.memory.Wake(memory.WakeRequest())
    for _ in range(2):
        await stubs.memory.Park(memory.ParkRequest())
    for _ in range(2):
        await stubs.memory.Wake(memory.WakeRequest())
    assert pcm_of(await spoken(stubs.tts, TEXT))


async def test_parked_engine_refuses_speech_and_cloning(stubs: Stubs) -> None:
    await stubs.memory.Park(memory.ParkRequest())
    added = pb.AddVoiceRequest(
        name="Ana", reference_wav=recording(3), reference_transcript="hola", language="en", consent=CONSENT
    )
    for work in (spoken(stubs.tts, TEXT), stubs.tts.AddVoice(added)):
        with pytest.raises(aio.AioRpcError) as refused:
            await work
        assert refused.value.code() is StatusCode.UNAVAILABLE
        assert code_of(refused.value) == "tts.parked"
    assert (await stubs.tts.ListVoices(pb.ListVoicesRequest())).voices


async def test_parking_is_refused_during_a_reply(stubs: Stubs) -> None:
    # Long enough that the request comes during the reply.
    reply = await begun(stubs.tts, TEXT * 20)
    assert await reply.read()
    with pytest.raises(aio.AioRpcError) as refused:
        await stubs.memory.Park(memory.ParkRequest())
    assert refused.value.code() is StatusCode.RESOURCE_EXHAUSTED
    assert code_of(refused.value) == "tts.speaking"
    assert pcm_of(await rest_of(reply))
    await stubs.memory.Park(memory.ParkRequest())


async def test_reply_waiting_for_text_prevents_parking(stubs: Stubs) -> None:
    reply = stubs.tts.Synthesize()
    await reply.write(pb.SynthesizeRequest(config=pb.SynthesisConfig(language="en")))
    # Both calls share one stream: when the later one has its response, the first has arrived.
    assert await spoken(stubs.tts, "") == []
    assert await refusal_to_park(stubs) == "tts.speaking"
    await reply.write(pb.SynthesizeRequest(text=pb.TextDelta(text=TEXT)))
    await reply.done_writing()
    assert await reply.read()
    reply.cancel()


async def test_parking_frees_the_model(settings: TtsSettings) -> None:
    engine = HiggsEngine(HiggsConfig.from_settings(settings))
    async with engine.lifespan():
        loaded = engine._ready[0]
        held = [weakref.ref(kept) for kept in (loaded, loaded.slots, loaded._model, loaded._model._keys)]
        del loaded
        await engine.park()
        gc.collect()
        assert [kept() for kept in held] == [None] * 4
        assert await engine.memory() == {}


async def test_failed_wake_leaves_the_engine_parked(settings: TtsSettings, folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(folder / "model", model)
    async with service(settings.model_copy(update={"higgs_model": model})) as stubs:
        await stubs.memory.Park(memory.ParkRequest())
        (model / "config.json").rename(tmp_path / "config.json")
        with pytest.raises(aio.AioRpcError) as failed:
            await stubs.memory.Wake(memory.WakeRequest())
        assert code_of(failed.value) == "tts.model_layout"
        assert await state(stubs) == memory.ENGINE_STATE_PARKED
        (tmp_path / "config.json").rename(model / "config.json")
        await stubs.memory.Wake(memory.WakeRequest())
        assert pcm_of(await spoken(stubs.tts, TEXT))


async def test_service_stops_while_its_engine_is_parked(settings: TtsSettings) -> None:
    async with asyncio.timeout(60), service(settings) as stubs:
        await stubs.memory.Park(memory.ParkRequest())


def test_engine_is_parkable(settings: TtsSettings) -> None:
    assert isinstance(higgs_engine(settings), ParkableEngine)
    assert isinstance(HiggsEngine(HiggsConfig.from_settings(settings)), ParkableEngine)


async def test_gpu_memory_is_empty_without_a_gpu(stubs: Stubs) -> None:
    report = await stubs.memory.GetMemory(memory.GetMemoryRequest())
    assert report.parkable
    assert list(report.parts) == []


async def test_memory_requests_do_not_disturb_speech(settings: TtsSettings) -> None:
    engine = HiggsEngine(HiggsConfig.from_settings(settings))
    config = SynthesisConfig(engine.voices()[0], "en")
    async with engine.lifespan(), engine.synthesize(PhraseRequest(0, TEXT), config) as speech:
        await anext(speech)
        asked = asyncio.gather(*(engine.memory() for _ in range(100)))
        assert [piece async for piece in speech]
        assert await asked == [{}] * 100


def test_memory_is_reported_by_kind(settings: TtsSettings) -> None:
    loaded = LoadedHiggs(HiggsConfig.from_settings(settings))
    held = loaded.memory()
    config = loaded._model._lm.config
    per_token = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * 4
    assert held[MemoryKind.KV_CACHE] == 2 * 1024 * per_token
    parameters = sum(parameter.numel() for parameter in loaded._model._lm.parameters())
    assert held[MemoryKind.WEIGHTS] >= 4 * parameters
    assert held[MemoryKind.WORKSPACE] >= loaded._model.draws.nbytes
    eight_bits = LoadedHiggs(HiggsConfig.from_settings(settings.model_copy(update={"higgs_weights": "int8"})))
    assert eight_bits.memory()[MemoryKind.WEIGHTS] < held[MemoryKind.WEIGHTS]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
async def test_parked_engine_holds_no_gpu_memory(settings: TtsSettings) -> None:
    engine = HiggsEngine(HiggsConfig.from_settings(settings.model_copy(update={"higgs_device": "cuda"})))
    async with engine.lifespan():
        assert sum((await engine.memory()).values()) >= torch.cuda.memory_reserved() > 0
        await engine.park()
        assert torch.cuda.memory_reserved() == 0
