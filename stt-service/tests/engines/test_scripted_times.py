"""The times that a script names, kept by the recogniser that plays it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from scripted_stream import FIRST, SILENCE, VOICE, WANTED, say, scripted_engine
from stt_service.engine import Final, Partial, TranscriptionConfig
from stt_service.engines.scripted import ScriptedEngine

pytestmark = pytest.mark.virtual_clock


@pytest.fixture
def engine(tmp_path: Path) -> Callable[[str], ScriptedEngine]:
    return partial(scripted_engine, tmp_path)


async def test_a_final_comes_unprompted_after_the_last_voiced_chunk(engine: Any) -> None:
    scripted = engine('transcripts = ["yes please"]\nfinal_delay_ms = 60\npartials = false')
    loop = asyncio.get_running_loop()
    async with scripted.lifespan(), scripted.open(WANTED) as stream:
        transcripts = stream.transcripts()
        last_voiced_s = loop.time()
        for pcm in (VOICE, VOICE, SILENCE, SILENCE):
            await say(stream, pcm)
            if pcm is VOICE:
                last_voiced_s = loop.time()
            await asyncio.sleep(0.02)
        final = await anext(transcripts)
        assert final.text == "yes please"
        assert loop.time() - last_voiced_s == pytest.approx(0.06)
        await transcripts.aclose()


async def test_a_final_may_be_timed_from_the_flush(engine: Any) -> None:
    scripted = engine('final_after = "flush"\nfinal_delay_ms = 50')
    loop = asyncio.get_running_loop()
    async with scripted.lifespan(), scripted.open(TranscriptionConfig()) as stream:
        await say(stream)
        await asyncio.sleep(0.06)
        flushed_s = loop.time()
        await stream.flush(FIRST)
        await stream.finish()
        finals = [transcript async for transcript in stream.transcripts()]
        assert len(finals) == 1
        assert loop.time() - flushed_s == pytest.approx(0.05)


@pytest.mark.parametrize("fault", ["hang", "endless"])
async def test_a_hung_or_endless_engine_never_gives_a_final_and_ends_with_its_caller(engine: Any, fault: str) -> None:
    scripted = engine(f'final_delay_ms = 0\npartials = false\nfault = "{fault}"')
    seen: list[Partial | Final] = []

    async def read(stream: Any) -> None:
        async for transcript in stream.transcripts():
            seen.append(transcript)  # noqa: PERF401 - what came before the timeout counts

    async with scripted.lifespan(), scripted.open(WANTED) as stream:
        await say(stream)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.15):
                await read(stream)
    assert not [transcript for transcript in seen if isinstance(transcript, Final)]
    assert (len(seen) > 2) == (fault == "endless")
