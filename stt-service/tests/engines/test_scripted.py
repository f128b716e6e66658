"""The scripted engine: its transcripts, its times and its faults."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from service_kit.audio import AudioChunk
from service_kit.errors import EngineFailed, InvalidRequest
from stt_service.engine import FinalTranscript, PartialTranscript, Segment, TranscriptionConfig
from stt_service.engines.scripted import DIE_STATUS, GARBAGE, ScriptedEngine
from stt_service.settings import SttSettings

VOICE = (np.sin(np.arange(512) / 3) * 8000).astype("<i2").tobytes()
SILENCE = bytes(1024)
WITH_PARTIALS = TranscriptionConfig("en", partial_transcripts=True)
FIRST = Segment(1, 0, 32)


def scripted_engine(folder: Path, section: str) -> ScriptedEngine:
    """An engine whose script has the lines of `section`."""
    path = folder / "script.toml"
    path.write_text(f"[stt]\n{section}\n")
    return ScriptedEngine(SttSettings(engine="scripted", script=path))


async def push(stream: Any, pcm: bytes = VOICE, segment: Segment = FIRST) -> None:
    await stream.push_audio(AudioChunk(segment.start_ms, pcm), segment)


@pytest.fixture
def engine(tmp_path: Path) -> Callable[[str], ScriptedEngine]:
    return partial(scripted_engine, tmp_path)


async def test_a_pending_final_answers_a_flush(engine: Any) -> None:
    scripted = engine("final_delay_ms = 40\npartials = false")
    async with scripted.lifespan(), scripted.open_stream(WITH_PARTIALS) as stream:
        await push(stream)
        await stream.flush_segment(FIRST)
        await stream.end_audio()
        assert len([transcript async for transcript in stream.transcripts()]) == 1


async def test_each_segment_with_speech_gets_the_next_transcript(engine: Any) -> None:
    scripted = engine('transcripts = ["one", "two"]\nfinal_delay_ms = 0')
    async with scripted.lifespan(), scripted.open_stream(TranscriptionConfig()) as stream:
        for number, pcm in enumerate((VOICE, SILENCE, VOICE, VOICE), 1):
            segment = Segment(number)
            await push(stream, pcm, segment)
            await stream.flush_segment(segment)
            await stream.commit_segment(segment)
        await stream.end_audio()
        texts = [final.text async for final in stream.transcripts()]
    assert texts == ["one", "", "two", "one"]


async def test_partials_grow_word_by_word(engine: Any) -> None:
    scripted = engine('transcripts = ["one two"]\nms_per_word = 32\nfinal_delay_ms = 60_000')
    async with scripted.lifespan(), scripted.open_stream(WITH_PARTIALS) as stream:
        transcripts = stream.transcripts()
        for text in ("one", "one two"):
            await push(stream)
            assert await anext(transcripts) == PartialTranscript(FIRST, text, "en")
        await transcripts.aclose()


@pytest.mark.parametrize(("fault", "text"), [("garbage", GARBAGE), ("empty", "")])
async def test_a_fault_affects_only_its_utterance(engine: Any, fault: str, text: str) -> None:
    scripted = engine(f'transcripts = ["well"]\nfinal_delay_ms = 0\npartials = false\nfault = "{fault}"\nfault_at = 2')
    async with scripted.lifespan():
        texts: list[str] = []
        for _ in range(3):
            async with scripted.open_stream(WITH_PARTIALS) as stream:
                await push(stream)
                await stream.end_audio()
                texts += [final.text async for final in stream.transcripts()]
    assert texts == ["well", text, "well"]


async def test_an_error_ends_the_stream(engine: Any) -> None:
    scripted = engine('final_delay_ms = 0\npartials = false\nfault = "error"')
    async with scripted.lifespan(), scripted.open_stream(WITH_PARTIALS) as stream:
        await push(stream)
        with pytest.raises(EngineFailed):
            await anext(stream.transcripts())


def test_the_fault_die_ends_the_process(tmp_path: Path) -> None:
    script = tmp_path / "script.toml"
    script.write_text('[stt]\nfinal_delay_ms = 0\nfault = "die"\n')
    program = """
import asyncio
from stt_service.engine import Segment, TranscriptionConfig
from stt_service.engines.scripted import ScriptedEngine
from stt_service.settings import SttSettings
from service_kit.audio import AudioChunk
async def main():
    engine = ScriptedEngine(SttSettings())
    async with engine.lifespan(), engine.open_stream(TranscriptionConfig()) as stream:
        await stream.push_audio(AudioChunk(0, b"\\x00\\x40" * 512), Segment(1))
        await stream.end_audio()
asyncio.run(main())
"""
    environment = {**os.environ, "ANCHOR_SCRIPT": str(script)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, check=False, timeout=30)
    assert ended.returncode == DIE_STATUS


async def test_an_invalid_script_is_refused_at_the_start(engine: Any) -> None:
    with pytest.raises(InvalidRequest, match="transcripts"):
        async with engine("transcripts = []").lifespan():
            pass


@pytest.mark.virtual_clock
async def test_a_final_is_sent_without_a_flush_after_the_last_voiced_chunk(engine: Any) -> None:
    scripted = engine('transcripts = ["yes please"]\nfinal_delay_ms = 60\npartials = false')
    loop = asyncio.get_running_loop()
    async with scripted.lifespan(), scripted.open_stream(WITH_PARTIALS) as stream:
        transcripts = stream.transcripts()
        last_voiced_s = loop.time()
        for pcm in (VOICE, VOICE, SILENCE, SILENCE):
            await push(stream, pcm)
            if pcm is VOICE:
                last_voiced_s = loop.time()
            await asyncio.sleep(0.02)
        final = await anext(transcripts)
        assert final.text == "yes please"
        assert loop.time() - last_voiced_s == pytest.approx(0.06)
        await transcripts.aclose()


@pytest.mark.virtual_clock
async def test_a_final_can_be_timed_from_the_flush(engine: Any) -> None:
    scripted = engine('final_after = "flush"\nfinal_delay_ms = 50')
    loop = asyncio.get_running_loop()
    async with scripted.lifespan(), scripted.open_stream(TranscriptionConfig()) as stream:
        await push(stream)
        await asyncio.sleep(0.06)
        flushed_s = loop.time()
        await stream.flush_segment(FIRST)
        await stream.end_audio()
        finals = [transcript async for transcript in stream.transcripts()]
        assert len(finals) == 1
        assert loop.time() - flushed_s == pytest.approx(0.05)


@pytest.mark.virtual_clock
@pytest.mark.parametrize("fault", ["hang", "endless"])
async def test_a_hung_or_endless_engine_sends_no_final_and_can_be_cancelled(engine: Any, fault: str) -> None:
    scripted = engine(f'final_delay_ms = 0\npartials = false\nfault = "{fault}"')
    seen: list[PartialTranscript | FinalTranscript] = []

    async def read(stream: Any) -> None:
        async for transcript in stream.transcripts():
            seen.append(transcript)  # noqa: PERF401 - keeps the transcripts before the timeout

    async with scripted.lifespan(), scripted.open_stream(WITH_PARTIALS) as stream:
        await push(stream)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.15):
                await read(stream)
    assert not [transcript for transcript in seen if isinstance(transcript, FinalTranscript)]
    assert (len(seen) > 2) == (fault == "endless")
