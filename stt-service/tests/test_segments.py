"""Counting segments and revisions, and transcripts on their way."""

from __future__ import annotations

import asyncio

import pytest
from service_kit.audio import AudioChunk
from service_kit.errors import EngineFailed, InvalidRequest
from stt_service.engine import Final, Partial, Segment
from stt_service.segments import Segments
from stt_service.transcript_queue import TranscriptQueue

SECOND = bytes(32_000)


def test_a_segment_spans_its_audio_gaps_included() -> None:
    segments = Segments(max_ms=60_000)
    assert segments.hear(AudioChunk(500, SECOND)) == Segment(1, 500, 1500)
    assert segments.hear(AudioChunk(4000, SECOND)) == Segment(1, 500, 5000)
    assert segments.commit(1) == Segment(1, 500, 5000)
    assert segments.flush(2) == Segment(2, 5000, 5000)
    assert segments.hear(AudioChunk(9000, SECOND)) == Segment(2, 9000, 10_000)


def test_only_the_open_segment_is_flushed_and_committed() -> None:
    segments = Segments(max_ms=60_000)
    for ask in (segments.flush, segments.commit):
        with pytest.raises(InvalidRequest, match="segment 1 is open"):
            ask(2)


def test_a_segment_without_end_is_refused() -> None:
    segments = Segments(max_ms=2500)
    segments.hear(AudioChunk(0, SECOND))
    segments.hear(AudioChunk(1000, SECOND))
    with pytest.raises(InvalidRequest) as refusal:
        segments.hear(AudioChunk(2000, SECOND))
    assert refusal.value.code == "stt.segment_too_long"


def test_revisions_count_the_finals_of_a_segment() -> None:
    segments = Segments(max_ms=1)
    finals = [Final(Segment(number), "") for number in (1, 1, 2, 4, 4)]
    assert [segments.revision(final) for final in finals] == [1, 2, 1, 1, 2]


async def test_a_partial_gives_way_to_a_newer_one_and_to_a_final() -> None:
    queue = TranscriptQueue()
    segment = Segment(1)
    queue.put_partial(Partial(segment, "a"))
    queue.put_partial(Partial(segment, "a b"))
    transcripts = queue.read()
    assert await anext(transcripts) == Partial(segment, "a b")
    queue.put_partial(Partial(segment, "a b c"))
    await queue.put_final(Final(segment, "a b c d"))
    queue.close()
    assert [transcript async for transcript in transcripts] == [Final(segment, "a b c d")]


async def test_a_final_waits_for_room() -> None:
    queue = TranscriptQueue(max_finals=1)
    await queue.put_final(Final(Segment(1), "first"))
    waiting = asyncio.create_task(queue.put_final(Final(Segment(2), "second")))
    await asyncio.sleep(0)
    assert not waiting.done()
    transcripts = queue.read()
    assert (await anext(transcripts)).text == "first"
    assert (await anext(transcripts)).text == "second"
    await waiting
    await transcripts.aclose()


async def test_a_failure_is_raised_at_the_reader() -> None:
    queue = TranscriptQueue()
    reading = asyncio.ensure_future(anext(queue.read()))
    await asyncio.sleep(0)
    queue.fail(EngineFailed("stt.engine_failed", "gone"))
    with pytest.raises(EngineFailed):
        await reading
