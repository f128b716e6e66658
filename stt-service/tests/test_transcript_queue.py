"""The queue of transcripts between an engine stream and its reader."""

from __future__ import annotations

import asyncio

import pytest
from service_kit.errors import EngineFailed
from stt_service.engine import FinalTranscript, PartialTranscript, Segment
from stt_service.transcript_queue import TranscriptQueue


async def test_a_newer_partial_or_a_final_replaces_an_unread_partial() -> None:
    queue = TranscriptQueue()
    segment = Segment(1)
    queue.put_partial(PartialTranscript(segment, "a"))
    queue.put_partial(PartialTranscript(segment, "a b"))
    transcripts = queue.read()
    assert await anext(transcripts) == PartialTranscript(segment, "a b")
    queue.put_partial(PartialTranscript(segment, "a b c"))
    await queue.put_final(FinalTranscript(segment, "a b c d"))
    queue.close()
    assert [transcript async for transcript in transcripts] == [FinalTranscript(segment, "a b c d")]


async def test_a_final_waits_while_the_queue_is_full() -> None:
    queue = TranscriptQueue(max_finals=1)
    await queue.put_final(FinalTranscript(Segment(1), "first"))
    waiting = asyncio.create_task(queue.put_final(FinalTranscript(Segment(2), "second")))
    await asyncio.sleep(0)
    assert not waiting.done()
    transcripts = queue.read()
    assert (await anext(transcripts)).text == "first"
    assert (await anext(transcripts)).text == "second"
    await waiting
    await transcripts.aclose()


async def test_a_failure_is_raised_in_the_reader() -> None:
    queue = TranscriptQueue()
    reading = asyncio.ensure_future(anext(queue.read()))
    await asyncio.sleep(0)
    queue.fail(EngineFailed("stt.engine_failed", "gone"))
    with pytest.raises(EngineFailed):
        await reading
