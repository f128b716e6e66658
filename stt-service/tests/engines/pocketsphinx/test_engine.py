"""The PocketSphinx engine: replaced processes, a bounded wait for the general decoder, choice of hypotheses."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from service_kit.errors import EngineFailed, NotReady, PeerFailed, Unsupported
from stt_service.engines.pocketsphinx import process
from stt_service.engines.pocketsphinx.hypotheses import (
    Hypothesis,
    HypothesisPair,
    clean,
    combine_utterances,
    likelier_text,
)
from stt_service.settings import SttSettings


async def retry(attempt: Callable[[], Awaitable[str]]) -> str:
    """Repeat `attempt` while it fails with a retryable error; return its result."""
    while True:
        try:
            return await attempt()
        except (NotReady, PeerFailed, EngineFailed):
            await asyncio.sleep(0.05)


async def test_a_dead_process_fails_its_streams_and_is_replaced(
    settings: SttSettings, serve: Any, ferry: bytes
) -> None:
    async with serve(settings) as (engine, open_microphone):
        topical, _ = engine.pairs[0]
        async with open_microphone() as microphone:
            await microphone.configure()
            await microphone.flush()
            await microphone.final()
            died = topical.pid
            os.kill(died, signal.SIGKILL)
            failure = await microphone.failure()
            assert isinstance(failure, EngineFailed)
            assert failure.code == "stt.engine_failed"

        async def transcribe() -> str:
            async with open_microphone() as microphone:
                await microphone.configure()
                await microphone.push_audio(ferry)
                await microphone.flush()
                return (await microphone.final()).text

        async with asyncio.timeout(60):
            assert await retry(transcribe) == "what is the latest on the ferry"
        assert topical.pid not in (None, died)


@pytest.mark.parametrize("which", [0, 1], ids=["topical", "general"])
async def test_a_hung_process_fails_its_streams_in_time_and_is_replaced(
    settings: SttSettings, serve: Any, ferry: bytes, which: int
) -> None:
    async with serve(settings) as (engine, open_microphone):
        hung = engine.pairs[0][which].pid
        async with open_microphone() as microphone:
            await microphone.configure()
            await microphone.push_audio(ferry)
            os.kill(hung, signal.SIGSTOP)
            stopped_s = time.monotonic()
            await microphone.push_audio(ferry)
            assert (await microphone.failure()).code == "stt.engine_failed"
            # Sooner than the orchestrator apologises to the user.
            assert time.monotonic() - stopped_s < 5

        async def transcribe() -> str:
            async with open_microphone() as microphone:
                await microphone.configure()
                await microphone.push_audio(ferry)
                await microphone.flush()
                return (await microphone.final()).text

        async with asyncio.timeout(60):
            assert await retry(transcribe) == "what is the latest on the ferry"


async def test_processes_end_with_the_engine(settings: SttSettings, serve: Any) -> None:
    async with serve(settings) as (engine, _):
        pids = [process.pid for pair in engine.pairs for process in pair]
        for pid in pids:
            os.kill(pid, 0)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_final_does_not_wait_for_a_late_general_decoder(
    settings: SttSettings, serve: Any, ferry: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The stopped process counts as slow.
    monkeypatch.setattr(process, "STALLED_S", 60.0)
    hasty = settings.model_copy(update={"second_opinion_ms": 100})
    async with serve(hasty) as (engine, open_microphone), open_microphone() as microphone:
        await microphone.configure()
        await microphone.flush()
        await microphone.final()
        stopped = engine.pairs[0][1].pid
        os.kill(stopped, signal.SIGSTOP)
        try:
            # Twice the undecoded audio that a stream may have: the stopped process must not delay the other.
            await microphone.push_audio(ferry * 2)
            await microphone.flush()
            final = await microphone.final(within_s=10)
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert final.text.startswith("what is the latest on the ferry")
        assert not final.alternatives


async def test_a_full_utterance_gives_a_final_and_stays_in_the_segment(
    settings: SttSettings, serve: Any, ferry: bytes
) -> None:
    short = settings.model_copy(update={"max_utterance_s": 1.9})
    async with serve(short) as (_, open_microphone), open_microphone() as microphone:
        await microphone.configure()
        await microphone.push_audio(ferry)
        assert "ferry" in (await microphone.final()).text
        await microphone.flush()
        final = await microphone.final()
        assert final.revision == 2
        assert "ferry" in final.text


async def test_other_languages_are_refused(settings: SttSettings, serve: Any) -> None:
    async with serve(settings) as (_, open_microphone), open_microphone() as microphone:
        await microphone.configure(language="de")
        failure = await microphone.failure()
        assert isinstance(failure, Unsupported)
        assert failure.code == "stt.language_unsupported"


async def test_a_commit_drops_audio_that_was_not_flushed(settings: SttSettings, serve: Any, ferry: bytes) -> None:
    async with serve(settings) as (_, open_microphone), open_microphone() as microphone:
        await microphone.configure(language="")
        await microphone.push_audio(ferry)
        await microphone.commit(1)
        await microphone.flush(2)
        final = await microphone.final()
        assert (final.segment_id, final.text, final.language) == (2, "", "en")


def test_noises_and_fillers_are_removed() -> None:
    assert clean("<s> um [NOISE] the(2) ++cough++ news uh <sil> </s>") == "the news"


@pytest.mark.parametrize(
    ("topical", "general", "text"),
    [
        (Hypothesis("the ferry", 0.5), Hypothesis("the fairy", 0.4), "the ferry"),
        (Hypothesis("the ferry boat", 0.3), Hypothesis("these days go on", 0.4), "these days go on"),
        (Hypothesis("the ferry", 0.1), None, "the ferry"),
        (Hypothesis("", 0.0), Hypothesis("the fairy", 0.4), "the fairy"),
        (Hypothesis("", 0.0), Hypothesis("", 0.0), ""),
    ],
)
def test_the_likelier_hypothesis_is_used(topical: Hypothesis, general: Hypothesis | None, text: str) -> None:
    assert likelier_text(HypothesisPair(topical, general)) == text


def test_a_segment_combines_all_its_utterances() -> None:
    pairs = [
        HypothesisPair(Hypothesis("the ferry", 0.5), Hypothesis("the fairy", 0.4)),
        HypothesisPair(Hypothesis("", 0.0), Hypothesis("", 0.0)),
        HypothesisPair(Hypothesis("leaves", 0.3), None),
    ]
    assert combine_utterances(pairs) == ("the ferry leaves", ("the fairy leaves",))
