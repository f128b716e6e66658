"""Cloned and multi-speaker voices, and styles, of the engine `higgs`, over real gRPC."""
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
from spoken_service import CONSENT, pcm_of, recording
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


async def clone_voice(stub: Any, name: str, seconds: float = 2.5) -> str:
    request = pb.AddVoiceRequest(
        name=name,
        reference_wav=recording(seconds),
        reference_transcript=f"this is {name}",
        language="en",
        consent=CONSENT,
    )
    return (await stub.AddVoice(request)).voice.id


@pytest.fixture
async def multi_speaker_id(settings: TtsSettings) -> str:
    """The multi-speaker voice of two cloned voices, as in the setting."""
    async with service(settings) as stubs:
        return "+".join([await clone_voice(stubs.tts, "Ana"), await clone_voice(stubs.tts, "Bob", 3.0)])


async def test_voice_deleted_while_a_phrase_waits_is_evicted(settings: TtsSettings) -> None:
    engine = HiggsEngine(HiggsConfig.from_settings(settings))
    text = PhraseRequest(0, TEXT)
    async with engine.lifespan():
        voice = await engine.add_voice("Ana", recording(2.5), "this is Ana", "en")
        own = SynthesisConfig(engine.voices()[0], "en")

        async def speak() -> None:
            async with engine.synthesize(text, SynthesisConfig(voice, "en")) as speech:
                await anext(speech)

        async with engine.synthesize(text, own) as first, engine.synthesize(text, own) as second:
            await asyncio.gather(anext(first), anext(second))
            waiting = asyncio.create_task(speak())
            await asyncio.sleep(0)
            await engine.delete_voice(voice.id)
        await waiting
        cached = [voice_id for voice_id, _ in engine._ready[0].slots._prefixes]
        assert cached == ["higgs/none", "higgs/en"]


async def test_multi_speaker_voice_is_listed_with_its_speakers(settings: TtsSettings, multi_speaker_id: str) -> None:
    async with service(settings.model_copy(update={"higgs_casts": (multi_speaker_id,)})) as stubs:
        listed = (await stubs.tts.ListVoices(pb.ListVoicesRequest(language="en"))).voices
        assert [voice.id for voice in listed] == ["higgs", *multi_speaker_id.split("+"), multi_speaker_id]
        assert listed[-1].name == "Ana + Bob"
        await stubs.tts.DeleteVoice(pb.DeleteVoiceRequest(voice_id=multi_speaker_id.split("+")[1]))
        left = (await stubs.tts.ListVoices(pb.ListVoicesRequest())).voices
        assert [voice.id for voice in left] == ["higgs", multi_speaker_id.split("+")[0]]


async def test_missing_speaker_is_logged(settings: TtsSettings, caplog: pytest.LogCaptureFixture) -> None:
    engine = HiggsEngine(HiggsConfig.from_settings(settings.model_copy(update={"higgs_casts": ("ana-1+bob-2",)})))
    async with engine.lifespan():
        assert [voice.id for voice in engine.voices()] == ["higgs"]
    assert "multi-speaker voice lacks a speaker" in [record.message for record in caplog.records]


async def test_speaker_tags_change_the_voice_and_are_not_spoken(settings: TtsSettings, multi_speaker_id: str) -> None:
    async with service(settings.model_copy(update={"higgs_casts": (multi_speaker_id,)})) as stubs:
        together = await spoken(stubs.tts, DIALOGUE, multi_speaker_id)
        again = await spoken(stubs.tts, DIALOGUE, multi_speaker_id)
        other_way = await spoken(stubs.tts, DIALOGUE.replace("1]", "0]"), multi_speaker_id)
        alone = await spoken(stubs.tts, DIALOGUE, multi_speaker_id.split("+")[0])
    marked = [event.speech_mark for event in together if event.HasField("speech_mark")]
    assert [DIALOGUE[mark.text_start : mark.text_end] for mark in marked] == ["hello", "there.", "and", "you?"]
    assert pcm_of(together) == pcm_of(again)
    assert pcm_of(together) != pcm_of(other_way)
    assert pcm_of(together) != pcm_of(alone)


async def test_single_voice_ignores_speaker_tags(stub: Any) -> None:
    assert pcm_of(await spoken(stub, "[SPEAKER0] hello there")) == pcm_of(await spoken(stub, TEXT))


def test_invalid_multi_speaker_voice_is_refused_at_the_start(settings: TtsSettings) -> None:
    with pytest.raises(InvalidRequest, match="cast_size"):
        HiggsConfig.from_settings(settings.model_copy(update={"higgs_casts": ("ana-1",)}))


async def test_style_changes_the_speech_and_is_repeatable(stub: Any) -> None:
    plain = pcm_of(await spoken(stub, TEXT))
    warm = pcm_of(await spoken(stub, TEXT, warmth=0.9))
    assert warm != plain
    assert pcm_of(await spoken(stub, TEXT, warmth=1.0)) == warm
    assert pcm_of(await spoken(stub, TEXT, warmth=0.5, pace=1.05)) == plain


async def test_temperature_of_a_style_applies_to_its_phrase_only(settings: TtsSettings) -> None:
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
async def test_unusable_recording_is_refused_with_advice(stub: Any, wav: bytes, code: str, advice: str) -> None:
    request = pb.AddVoiceRequest(
        name="Ana", reference_wav=wav, reference_transcript="hola", language="en", consent=CONSENT
    )
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.AddVoice(request)
    assert refused.value.code() is StatusCode.INVALID_ARGUMENT
    assert dict(refused.value.trailing_metadata() or ())[ERROR_CODE_KEY] == code
    assert advice in (refused.value.details() or "")
    assert [voice.id for voice in (await stub.ListVoices(pb.ListVoicesRequest())).voices] == ["higgs"]


async def test_stereo_recording_equals_its_mono_mix(stub: Any) -> None:
    voices = set()
    for channels in (1, 2):
        request = pb.AddVoiceRequest(
            name="Ana",
            reference_wav=recording(3, channels=channels),
            reference_transcript="hola",
            language="en",
            consent=CONSENT,
        )
        voices.add((await stub.AddVoice(request)).voice.id)
    assert len(voices) == 1


async def test_voice_cloned_again_after_deletion_uses_no_old_prefix(settings: TtsSettings) -> None:
    engine = HiggsEngine(HiggsConfig.from_settings(settings))

    async def audio_of(config: SynthesisConfig) -> list[bytes]:
        async with engine.synthesize(PhraseRequest(0, TEXT), config) as speech:
            return [piece.samples.tobytes() async for piece in speech if isinstance(piece, Samples)]

    async with engine.lifespan():
        voice = await engine.add_voice("Ana", recording(3), "hola", "en")
        config = SynthesisConfig(voice, "en")
        first = await audio_of(config)
        await engine.delete_voice(voice.id)
        assert await audio_of(config) == await audio_of(SynthesisConfig(engine.voices()[0], "en"))
        assert (await engine.add_voice("Ana", recording(3), "hola", "en")).id == voice.id
        assert await audio_of(config) == first
