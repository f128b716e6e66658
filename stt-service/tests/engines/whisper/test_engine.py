"""The Whisper engine with the real models: finals, partials of either model, languages, and what is missing."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from service_kit.audio import MICROPHONE, AudioChunk
from service_kit.errors import EngineFailed, Unsupported
from service_kit.resources import MachineResources
from stt_service.app import build_engine
from stt_service.engine import FinalTranscript, LanguageSource, PartialTranscript, Segment, TranscriptionConfig
from stt_service.engines.whisper import engine as whisper_engine
from stt_service.engines.whisper.engine import SURE_PROBABILITY, WhisperEngine, min_language_probability
from stt_service.engines.whisper.models import BASE, MOONSHINE, SMALL
from stt_service.settings import SttSettings

QUESTION = "What is the latest on the ferry?"


@pytest.fixture
def defaults(real_models: Path, folder: Path, tmp_path: Path) -> SttSettings:
    """Settings of the default models."""
    return SttSettings(
        models="default",
        models_dir=real_models,
        models_lock=real_models.parent / "models.lock",
        machine_profile=tmp_path / "machine.json",
        knowledge_dir=folder / "knowledge",
        whisper_workers=1,
        max_streams=2,
    )


@asynccontextmanager
async def loaded(settings: SttSettings, model: str) -> AsyncGenerator[WhisperEngine]:
    engine = WhisperEngine(settings, model)
    async with engine.lifespan():
        yield engine


async def transcripts(engine: Any, pcm: bytes, config: TranscriptionConfig, pace_s: float = 0) -> list[Any]:
    """The transcripts of a segment, whose audio comes in steps of 100 ms."""
    segment = Segment(1, 0, round(MICROPHONE.ms_of(len(pcm))))
    async with engine.open_stream(config) as stream:
        for at in range(0, len(pcm), 3200):
            await stream.push_audio(AudioChunk(at // 32, pcm[at : at + 3200]), segment)
            await asyncio.sleep(pace_s)
        await stream.flush_segment(segment)
        await stream.end_audio()
        return [transcript async for transcript in stream.transcripts()]


async def test_a_final_has_text_language_confidence_and_words(defaults: SttSettings, ferry: bytes) -> None:
    async with loaded(defaults, BASE) as engine:
        (final,) = await transcripts(engine, ferry, TranscriptionConfig())
        assert isinstance(final, FinalTranscript)
        assert (final.text, final.language, final.language_source) == (QUESTION, "en", LanguageSource.ENGINE)
        assert final.language_probability is not None
        assert final.language_probability > 0.9
        assert final.confidence is not None
        assert [word.text for word in final.words] == QUESTION.split()
        assert "de" in engine.info.languages
        (named,) = await transcripts(engine, ferry, TranscriptionConfig("en"))
        assert (named.text, named.language_source) == (QUESTION, LanguageSource.CONFIG)
        with pytest.raises(Unsupported, match="whisper-base does not support 'hi'"):
            engine.open_stream(TranscriptionConfig("hi"))


async def test_partials_come_from_either_process_while_audio_comes(defaults: SttSettings, ferry: bytes) -> None:
    async with loaded(defaults, SMALL) as engine:
        assert len(engine.pids) == 2
        assert engine.degraded == ""
        found = await transcripts(engine, ferry, TranscriptionConfig("", partial_transcripts=True), pace_s=0.1)
    assert (found[-1].text, found[-1].language) == (QUESTION, "en")
    assert all(isinstance(partial, PartialTranscript) for partial in found[:-1])


async def test_partials_of_an_unknown_language_wait_until_it_is_identified(defaults: SttSettings, ferry: bytes) -> None:
    async with loaded(defaults, BASE) as engine:
        # A click is no language.
        click = bytes(16_000) + b"\x00\x40" + bytes(3_198)
        unsure = await engine.transcribe_clip(click, "", final=False)
        assert unsure.text == ""
        assert unsure.language_probability is not None
        assert unsure.language_probability < SURE_PROBABILITY
        # English is left to Moonshine, before and after it is known.
        identified = await engine.transcribe_clip(ferry, "", final=False)
        assert (identified.text, identified.language, identified.words) == (QUESTION, "en", ())
        assert identified.by_other_model
        assert identified.language_probability is not None
        assert identified.language_probability >= SURE_PROBABILITY
        known = await engine.transcribe_clip(ferry, "en", final=False)
        assert (known.text, known.language_probability, known.by_other_model) == (QUESTION, None, True)


@pytest.mark.parametrize(
    ("clip_ms", "needed"), [(300, 0.8), (999, 0.8), (1000, 0.3), (2999, 0.3), (3000, 0.0), (28_000, 0.0)]
)
def test_longer_partials_need_less_certainty_of_their_language(clip_ms: float, needed: float) -> None:
    assert min_language_probability(clip_ms) == needed


async def test_words_with_times_can_be_turned_off(defaults: SttSettings, ferry: bytes) -> None:
    async with loaded(defaults.model_copy(update={"whisper_word_times": False}), SMALL) as engine:
        final = await engine.transcribe_clip(ferry, "", final=True)
    assert (final.text, final.words) == (QUESTION, ())


def partly(defaults: SttSettings, target: Path, *names: str) -> SttSettings:
    """The settings with a models folder of these models alone."""
    target.mkdir()
    for name in names:
        (target / name).symlink_to(defaults.models_dir / name)
    return defaults.model_copy(update={"models_dir": target})


async def test_without_moonshine_whisper_makes_the_partials(
    defaults: SttSettings, tmp_path: Path, ferry: bytes
) -> None:
    async with loaded(partly(defaults, tmp_path / "models", SMALL), SMALL) as engine:
        assert len(engine.pids) == 1
        assert "moonshine-tiny-en" in engine.degraded
        partial = await engine.transcribe_clip(ferry, "en", final=False)
    assert (partial.text, partial.words) == (QUESTION, ())


async def test_a_damaged_moonshine_is_named_and_left_out(defaults: SttSettings, tmp_path: Path) -> None:
    settings = partly(defaults, tmp_path / "models", SMALL)
    shutil.copytree(defaults.models_dir / MOONSHINE, settings.models_dir / MOONSHINE)
    (settings.models_dir / MOONSHINE / "tokenizer.bin").write_bytes(b"\x05abc")
    async with loaded(settings, SMALL) as engine:
        assert "tokenizer.bin" in engine.degraded
        assert len(engine.pids) == 1


@pytest.mark.parametrize(
    ("present", "name", "model"),
    [((BASE, MOONSHINE), "whisper", BASE), ((SMALL, MOONSHINE), "whisper", SMALL), ((), "pocketsphinx", "en-us")],
)
async def test_the_next_smaller_engine_replaces_a_missing_one(
    defaults: SttSettings, tmp_path: Path, ferry: bytes, present: tuple[str, ...], name: str, model: str
) -> None:
    engine: Any = build_engine(partly(defaults, tmp_path / "models", *present))
    async with engine.lifespan():
        assert (engine.info.name, engine.info.model) == (name, model)
        assert bool(engine.degraded) == (BASE not in present)
        missing = {BASE, SMALL} - {*present} if BASE not in present else set[str]()
        assert all(name in engine.degraded for name in missing)
        *_, final = await transcripts(engine, ferry, TranscriptionConfig("en"))
    assert final.text.lower().strip("?") == QUESTION.lower().strip("?")


@pytest.mark.parametrize(("cores", "quota", "finals"), [(8, None, 2), (8, 1.5, 1), (1, None, 1)])
def test_finals_at_one_time_follow_the_usable_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, quota: float | None, finals: int
) -> None:
    resources = MachineResources(64, cores, quota, 8 * 2**30, None)
    monkeypatch.setattr(whisper_engine, "read_resources", lambda: resources)
    assert WhisperEngine(SttSettings(), BASE).info.notes["clips at one time"] == str(finals)


async def test_a_model_that_the_library_refuses_fails_with_the_reason(defaults: SttSettings, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(defaults.models_dir / SMALL, folder)
    (folder / "model.bin").write_bytes(b"not a model")
    engine = WhisperEngine(defaults.model_copy(update={"whisper_model": folder}))
    with pytest.raises(EngineFailed, match="cannot load mine from"):
        async with engine.lifespan():
            pytest.fail("it was loaded")


async def test_cancelled_whisper_partial_is_followed_by_no_other(defaults: SttSettings, ferry: bytes) -> None:
    engine = WhisperEngine(defaults)
    async with engine.lifespan():
        first = asyncio.create_task(engine.transcribe_clip(ferry, "de", final=False))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        assert (await engine.transcribe_clip(ferry, "de", final=False)).text == ""
        assert (await engine.transcribe_clip(ferry, "en", final=True)).text


async def test_whisper_makes_the_partials_while_moonshine_is_replaced(defaults: SttSettings, ferry: bytes) -> None:
    engine = WhisperEngine(defaults)
    async with engine.lifespan():
        whisper, moonshine = engine.pids
        assert moonshine is not None
        os.kill(moonshine, signal.SIGKILL)
        async with asyncio.timeout(60):
            while moonshine in engine.pids:
                await asyncio.sleep(0.01)
        partial = await engine.transcribe_clip(ferry, "en", final=False)
        assert partial.text
        assert not partial.by_other_model
        assert engine.pids[0] == whisper
