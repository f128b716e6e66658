"""The recogniser that plays a script."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from scripted_stream import FIRST, SILENCE, VOICE, WANTED, say, scripted_engine
from service_kit.errors import EngineFailed, InvalidRequest
from stt_service.engine import Partial, Segment, TranscriptionConfig
from stt_service.engines.scripted import DIE_STATUS, GARBAGE, ScriptedEngine


@pytest.fixture
def engine(tmp_path: Path) -> Callable[[str], ScriptedEngine]:
    return partial(scripted_engine, tmp_path)


async def test_a_flush_is_answered_by_the_final_that_is_on_its_way(engine: Any) -> None:
    scripted = engine("final_delay_ms = 40\npartials = false")
    async with scripted.lifespan(), scripted.open(WANTED) as stream:
        await say(stream)
        await stream.flush(FIRST)
        await stream.finish()
        assert len([transcript async for transcript in stream.transcripts()]) == 1


async def test_each_segment_with_speech_has_the_next_transcript(engine: Any) -> None:
    scripted = engine('transcripts = ["one", "two"]\nfinal_delay_ms = 0')
    async with scripted.lifespan(), scripted.open(TranscriptionConfig()) as stream:
        for number, pcm in enumerate((VOICE, SILENCE, VOICE, VOICE), 1):
            segment = Segment(number)
            await say(stream, pcm, segment)
            await stream.flush(segment)
            await stream.commit(segment)
        await stream.finish()
        texts = [final.text async for final in stream.transcripts()]
    assert texts == ["one", "", "two", "one"]


async def test_partials_grow_word_by_word(engine: Any) -> None:
    scripted = engine('transcripts = ["one two"]\nms_per_word = 32\nfinal_delay_ms = 60_000')
    async with scripted.lifespan(), scripted.open(WANTED) as stream:
        transcripts = stream.transcripts()
        for text in ("one", "one two"):
            await say(stream)
            assert await anext(transcripts) == Partial(FIRST, text, "en")
        await transcripts.aclose()


@pytest.mark.parametrize(("fault", "text"), [("garbage", GARBAGE), ("empty", "")])
async def test_a_fault_strikes_the_utterance_it_is_meant_for(engine: Any, fault: str, text: str) -> None:
    scripted = engine(f'transcripts = ["well"]\nfinal_delay_ms = 0\npartials = false\nfault = "{fault}"\nfault_at = 2')
    async with scripted.lifespan():
        heard: list[str] = []
        for _ in range(3):
            async with scripted.open(WANTED) as stream:
                await say(stream)
                await stream.finish()
                heard += [final.text async for final in stream.transcripts()]
    assert heard == ["well", text, "well"]


async def test_an_error_ends_the_stream(engine: Any) -> None:
    scripted = engine('final_delay_ms = 0\npartials = false\nfault = "error"')
    async with scripted.lifespan(), scripted.open(WANTED) as stream:
        await say(stream)
        with pytest.raises(EngineFailed):
            await anext(stream.transcripts())


def test_to_die_is_to_take_the_process_along(tmp_path: Path) -> None:
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
    async with engine.lifespan(), engine.open(TranscriptionConfig()) as stream:
        await stream.feed(AudioChunk(0, b"\\x00\\x40" * 512), Segment(1))
        await stream.finish()
asyncio.run(main())
"""
    environment = {**os.environ, "ANCHOR_SCRIPT": str(script)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, check=False, timeout=30)
    assert ended.returncode == DIE_STATUS


async def test_a_script_that_does_not_fit_is_refused_at_the_start(engine: Any) -> None:
    with pytest.raises(InvalidRequest, match="transcripts"):
        async with engine("transcripts = []").lifespan():
            pass
