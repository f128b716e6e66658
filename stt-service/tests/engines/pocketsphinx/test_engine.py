"""PocketSphinx's own promises: processes that are replaced, a second opinion that is never waited for long."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from service_kit.errors import AnchorError, EngineFailed, NotReady, PeerFailed, Unsupported
from stt_service.engines.pocketsphinx.hypotheses import Hearing, Reading, believed, clean, read_together
from stt_service.settings import SttSettings


async def ending(microphone: Any) -> AnchorError:
    """How a call fails that must fail."""

    async def until_failed() -> None:
        while await microphone.event() is not None:
            pass

    with pytest.raises(AnchorError) as failure:
        await until_failed()
    return failure.value


async def until(holds: Callable[[], object], within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.02)


async def persist(attempt: Callable[[], Awaitable[str]]) -> str:
    """What `attempt` returns, once it no longer fails in a way that says: try again."""
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
            failure = await ending(microphone)
            assert isinstance(failure, EngineFailed)
            assert failure.code == "stt.engine_failed"

        async def asked_again() -> str:
            async with open_microphone() as microphone:
                await microphone.configure()
                await microphone.speak(ferry)
                await microphone.flush()
                return (await microphone.final()).text

        async with asyncio.timeout(60):
            assert await persist(asked_again) == "what is the latest on the ferry"
        assert topical.pid not in (None, died)


async def test_processes_end_with_the_engine(settings: SttSettings, serve: Any) -> None:
    async with serve(settings) as (engine, _):
        pids = [process.pid for pair in engine.pairs for process in pair]
        for pid in pids:
            os.kill(pid, 0)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_final_does_not_wait_for_a_late_second_opinion(settings: SttSettings, serve: Any, ferry: bytes) -> None:
    hasty = settings.model_copy(update={"second_opinion_ms": 100})
    async with serve(hasty) as (engine, open_microphone), open_microphone() as microphone:
        await microphone.configure()
        await microphone.flush()
        await microphone.final()
        stopped = engine.pairs[0][1].pid
        os.kill(stopped, signal.SIGSTOP)
        try:
            # Twice the audio that a stream may have under way: the stopped process must not hold up the other.
            await microphone.speak(ferry * 2)
            await microphone.flush()
            final = await microphone.final(within_s=10)
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert final.text.startswith("what is the latest on the ferry")
        assert not final.alternatives


async def test_an_endless_utterance_is_closed_and_kept(settings: SttSettings, serve: Any, ferry: bytes) -> None:
    short = settings.model_copy(update={"max_utterance_s": 1.9})
    async with serve(short) as (_, open_microphone), open_microphone() as microphone:
        await microphone.configure()
        await microphone.speak(ferry)
        assert "ferry" in (await microphone.final()).text
        await microphone.flush()
        final = await microphone.final()
        assert final.revision == 2
        assert "ferry" in final.text


async def test_other_languages_are_refused(settings: SttSettings, serve: Any) -> None:
    async with serve(settings) as (_, open_microphone), open_microphone() as microphone:
        await microphone.configure(language="de")
        failure = await ending(microphone)
        assert isinstance(failure, Unsupported)
        assert failure.code == "stt.language_unsupported"


async def test_what_was_not_flushed_is_dropped_at_commit(settings: SttSettings, serve: Any, ferry: bytes) -> None:
    async with serve(settings) as (_, open_microphone), open_microphone() as microphone:
        await microphone.configure(language="")
        await microphone.speak(ferry)
        await microphone.commit(1)
        await microphone.flush(2)
        final = await microphone.final()
        assert (final.segment_id, final.text, final.language) == (2, "", "en")


def test_noises_and_fillers_are_no_words() -> None:
    assert clean("<s> um [NOISE] the(2) ++cough++ news uh <sil> </s>") == "the news"


@pytest.mark.parametrize(
    ("topical", "general", "text"),
    [
        (Reading("the ferry", 0.5), Reading("the fairy", 0.4), "the ferry"),
        (Reading("the ferry boat", 0.3), Reading("these days go on", 0.4), "these days go on"),
        (Reading("the ferry", 0.1), None, "the ferry"),
        (Reading("", 0.0), Reading("the fairy", 0.4), "the fairy"),
        (Reading("", 0.0), Reading("", 0.0), ""),
    ],
)
def test_the_likelier_reading_is_believed(topical: Reading, general: Reading | None, text: str) -> None:
    assert believed(Hearing(topical, general)) == text


def test_a_segment_is_read_from_all_its_utterances() -> None:
    hearings = [
        Hearing(Reading("the ferry", 0.5), Reading("the fairy", 0.4)),
        Hearing(Reading("", 0.0), Reading("", 0.0)),
        Hearing(Reading("leaves", 0.3), None),
    ]
    assert read_together(hearings) == ("the ferry leaves", ("the fairy leaves",))
