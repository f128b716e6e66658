"""Voices, several of them together, and manners of speaking: what the model reads, over real gRPC."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from anchor.tts.v1 import tts_pb2 as pb
from grpc import StatusCode, aio
from higgs_service import service, settings_for, spoken, write_folders
from service_kit.errors import ERROR_CODE_KEY, InvalidRequest
from spoken_service import pcm_of, recording
from tts_service.engine import PhraseRequest, Samples, Style, SynthesisConfig
from tts_service.engines.higgs.config import HiggsConfig
from tts_service.engines.higgs.engine import HiggsEngine
from tts_service.settings import TtsSettings

TEXT = "hello there"
DIALOGUE = "[SPEAKER0] hello there. [SPEAKER1] and you?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folders(tmp_path_factory.mktemp("higgs-voices"))


@pytest.fixture
def settings(folder: Path, tmp_path: Path) -> TtsSettings:
    return settings_for(folder, tmp_path / "voices")


@pytest.fixture
async def stub(settings: TtsSettings) -> AsyncGenerator[Any]:
    async with service(settings) as stubs:
        yield stubs.tts


async def learned(stub: Any, name: str, seconds: float = 2.5) -> str:
    request = pb.AddVoiceRequest(
        name=name, reference_wav=recording(seconds), reference_transcript=f"this is {name}", language="en"
    )
    return (await stub.AddVoice(request)).voice.id


@pytest.fixture
async def cast(settings: TtsSettings) -> str:
    """Two voices that were added, as the setting names them."""
    async with service(settings) as stubs:
        return "+".join([await learned(stubs.tts, "Ana"), await learned(stubs.tts, "Bob", 3.0)])


async def test_a_voice_deleted_while_a_phrase_waits_leaves_nothing_in_the_model(settings: TtsSettings) -> None:
    engine = HiggsEngine(HiggsConfig.from_settings(settings))
    text = PhraseRequest(0, TEXT)
    async with engine.lifespan():
        voice = await engine.add_voice("Ana", recording(2.5), "this is Ana", "en")
        own = SynthesisConfig(engine.voices()[0], "en")

        async def say() -> None:
            async with engine.synthesize(text, SynthesisConfig(voice, "en")) as speech:
                await anext(speech)

        async with engine.synthesize(text, own) as first, engine.synthesize(text, own) as second:
            await asyncio.gather(anext(first), anext(second))
            waiting = asyncio.create_task(say())
            await asyncio.sleep(0)
            await engine.delete_voice(voice.id)
        await waiting
        assert [voice_id for voice_id, _ in engine._ready[0].slots._prefixes] == [own.voice.id]


async def test_a_cast_is_listed_beside_its_voices(settings: TtsSettings, cast: str) -> None:
    async with service(settings.model_copy(update={"higgs_casts": (cast,)})) as stubs:
        listed = (await stubs.tts.ListVoices(pb.ListVoicesRequest(language="en"))).voices
        assert [voice.id for voice in listed] == ["higgs", *cast.split("+"), cast]
        assert listed[-1].name == "Ana + Bob"
        await stubs.tts.DeleteVoice(pb.DeleteVoiceRequest(voice_id=cast.split("+")[1]))
        left = (await stubs.tts.ListVoices(pb.ListVoicesRequest())).voices
        assert [voice.id for voice in left] == ["higgs", cast.split("+")[0]]


async def test_a_cast_whose_voice_is_not_there_is_told_of(
    settings: TtsSettings, caplog: pytest.LogCaptureFixture
) -> None:
    engine = HiggsEngine(HiggsConfig.from_settings(settings.model_copy(update={"higgs_casts": ("ana-1+bob-2",)})))
    async with engine.lifespan():
        assert [voice.id for voice in engine.voices()] == ["higgs"]
    assert "multi-speaker voice lacks a speaker" in [record.message for record in caplog.records]


async def test_who_speaks_is_heard_and_not_read_out(settings: TtsSettings, cast: str) -> None:
    async with service(settings.model_copy(update={"higgs_casts": (cast,)})) as stubs:
        together = await spoken(stubs.tts, DIALOGUE, cast)
        again = await spoken(stubs.tts, DIALOGUE, cast)
        other_way = await spoken(stubs.tts, DIALOGUE.replace("1]", "0]"), cast)
        alone = await spoken(stubs.tts, DIALOGUE, cast.split("+")[0])
    marked = [event.speech_mark for event in together if event.HasField("speech_mark")]
    assert [DIALOGUE[mark.text_start : mark.text_end] for mark in marked] == ["hello", "there.", "and", "you?"]
    assert pcm_of(together) == pcm_of(again)
    assert pcm_of(together) != pcm_of(other_way)
    assert pcm_of(together) != pcm_of(alone)


async def test_one_voice_speaks_a_text_for_several_as_if_no_tags_were_in_it(stub: Any) -> None:
    assert pcm_of(await spoken(stub, "[SPEAKER0] hello there")) == pcm_of(await spoken(stub, TEXT))


def test_a_cast_that_is_none_is_refused_at_the_start(settings: TtsSettings) -> None:
    with pytest.raises(InvalidRequest, match="cast_size"):
        HiggsConfig.from_settings(settings.model_copy(update={"higgs_casts": ("ana-1",)}))


async def test_a_style_changes_how_the_model_speaks_and_the_same_style_does_not(stub: Any) -> None:
    plain = pcm_of(await spoken(stub, TEXT))
    warm = pcm_of(await spoken(stub, TEXT, warmth=0.9))
    assert warm != plain
    assert pcm_of(await spoken(stub, TEXT, warmth=1.0)) == warm
    assert pcm_of(await spoken(stub, TEXT, warmth=0.5, pace=1.05)) == plain


async def test_a_freer_temperature_reaches_the_model_and_leaves_with_the_phrase(settings: TtsSettings) -> None:
    engine = HiggsEngine(HiggsConfig.from_settings(settings))
    async with engine.lifespan():
        loaded, loop = engine._ready
        assert loaded._model.temperature.flatten().tolist() == pytest.approx([0.8, 0.8])
        config = SynthesisConfig(engine.voices()[0], "en", Style(energy=0.0))
        async with engine.synthesize(PhraseRequest(0, TEXT), config) as speech:
            await anext(speech)
            assert pytest.approx(0.7) in loaded._model.temperature.flatten().tolist()
        assert loop.free_slots == 2


@pytest.mark.parametrize(
    ("wav", "code", "advice"),
    [
        (recording(3, loudness=0), "tts.reference_silent", "check the microphone"),
        (recording(1), "tts.reference_length", "record at least 2 s"),
        (recording(16), "tts.reference_length", "cut it, and its transcript, to 15 s"),
        (recording(3, channels=6), "tts.reference_wav", "mix it down to one"),
        (recording(3, rate_hz=8000), "tts.reference_wav", "record at 16000 Hz"),
        (b"not a recording", "tts.reference_wav", "save it as 16-bit PCM WAV"),
        (b"", "tts.reference_wav", "save it as 16-bit PCM WAV"),
    ],
    ids=["silent", "short", "long", "many channels", "telephone", "no WAV", "nothing"],
)
async def test_a_recording_that_no_voice_can_be_learned_from_is_refused_with_advice(
    stub: Any, wav: bytes, code: str, advice: str
) -> None:
    request = pb.AddVoiceRequest(name="Ana", reference_wav=wav, reference_transcript="hola", language="en")
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.AddVoice(request)
    assert refused.value.code() is StatusCode.INVALID_ARGUMENT
    assert dict(refused.value.trailing_metadata() or ())[ERROR_CODE_KEY] == code
    assert advice in (refused.value.details() or "")
    assert [voice.id for voice in (await stub.ListVoices(pb.ListVoicesRequest())).voices] == ["higgs"]


async def test_a_stereo_recording_of_one_voice_is_that_voice(stub: Any) -> None:
    voices = set()
    for channels in (1, 2):
        request = pb.AddVoiceRequest(
            name="Ana", reference_wav=recording(3, channels=channels), reference_transcript="hola", language="en"
        )
        voices.add((await stub.AddVoice(request)).voice.id)
    assert len(voices) == 1


async def test_a_voice_that_is_deleted_in_mid_reply_leaves_nothing_to_one_learned_again(settings: TtsSettings) -> None:
    engine = HiggsEngine(HiggsConfig.from_settings(settings))

    async def heard(config: SynthesisConfig) -> list[bytes]:
        async with engine.synthesize(PhraseRequest(0, TEXT), config) as speech:
            return [piece.samples.tobytes() async for piece in speech if isinstance(piece, Samples)]

    async with engine.lifespan():
        voice = await engine.add_voice("Ana", recording(3), "hola", "en")
        config = SynthesisConfig(voice, "en")
        first = await heard(config)
        await engine.delete_voice(voice.id)
        assert await heard(config) == await heard(SynthesisConfig(engine.voices()[0], "en"))
        assert await engine.add_voice("Ana", recording(3), "hola", "en") == voice
        assert await heard(config) == first
