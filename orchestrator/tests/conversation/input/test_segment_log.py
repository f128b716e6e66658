"""The log that a new speech-to-text stream is replayed from, and how it renumbers segments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from orchestrator.conversation.input.segment_log import SegmentLog
from service_kit.audio import MICROPHONE, AudioChunk
from service_kit.tasks import stop_task


class Stream:
    """Records its input: spans of audio in ms, `flush n`, `commit n`."""

    def __init__(self) -> None:
        self.received: list[str] = []

    async def push_audio(self, chunk: AudioChunk) -> None:
        self.received.append(f"{chunk.start_ms}-{chunk.end_ms}")

    async def flush_segment(self, segment_id: int) -> None:
        self.received.append(f"flush {segment_id}")

    async def commit_segment(self, segment_id: int) -> None:
        self.received.append(f"commit {segment_id}")


@asynccontextmanager
async def writing(log: SegmentLog) -> AsyncGenerator[Stream]:
    stream = Stream()
    task = asyncio.create_task(log.write_to(stream))
    for _ in range(5):
        await asyncio.sleep(0)
    yield stream
    await stop_task(task)


def chunk(start_ms: int, length_ms: int = 20) -> AudioChunk:
    return AudioChunk(start_ms, bytes(MICROPHONE.bytes_for(length_ms)))


def append_audio(log: SegmentLog, start_ms: int, frames: int = 2) -> None:
    for at_ms in range(start_ms, start_ms + 20 * frames, 20):
        log.append_audio(chunk(at_ms))


async def test_adjacent_audio_travels_as_one_chunk():
    log = SegmentLog()
    append_audio(log, 0)
    log.flush_segment(1)
    log.commit_segment(1)
    async with writing(log) as stream:
        assert stream.received == ["0-40", "flush 1", "commit 1"]


async def test_a_new_stream_receives_the_open_segment_again():
    log = SegmentLog()
    append_audio(log, 0)
    log.flush_segment(1)
    async with writing(log) as first:
        assert first.received == ["0-40", "flush 1"]
    append_audio(log, 40)
    async with writing(log) as second:
        assert second.received == ["0-40", "flush 1", "40-80"]
        assert log.offset == 0


async def test_a_new_stream_numbers_its_segments_from_one():
    log = SegmentLog()
    async with writing(log):
        append_audio(log, 0)
        log.commit_segment(1)
        log.commit_segment(2)
        for _ in range(5):
            await asyncio.sleep(0)
    append_audio(log, 100)
    log.flush_segment(3)
    log.commit_segment(3)
    async with writing(log) as stream:
        assert log.offset == 2
        assert stream.received == ["100-140", "flush 1", "commit 1"]


async def test_a_closed_segment_that_no_stream_received_is_replayed_too():
    log = SegmentLog()
    append_audio(log, 0)
    log.commit_segment(1)
    append_audio(log, 100)
    log.flush_segment(2)
    async with writing(log) as stream:
        assert log.offset == 0
        assert stream.received == ["0-40", "commit 1", "100-140", "flush 2"]


async def test_audio_beyond_two_minutes_is_refused():
    log = SegmentLog()
    for at_ms in range(0, 20 * 6_500, 20):
        log.append_audio(chunk(at_ms))
    log.flush_segment(1)
    async with writing(log) as stream:
        await asyncio.sleep(0.05)
        assert stream.received[-2:] == ["119500-120000", "flush 1"]


@pytest.mark.parametrize("frames", [1, 25, 26])
async def test_a_chunk_is_never_longer_than_half_a_second(frames):
    log = SegmentLog()
    append_audio(log, 0, frames)
    async with writing(log) as stream:
        assert stream.received == (["0-500", "500-520"] if frames == 26 else [f"0-{20 * frames}"])


def test_the_open_segment_and_the_end_of_its_audio_are_known():
    log = SegmentLog()
    assert (log.open_segment_id, log.audio_end_ms) == (1, 0)
    append_audio(log, 100)
    assert (log.open_segment_id, log.audio_end_ms) == (1, 140)
    log.flush_segment(1)
    log.commit_segment(1)
    assert (log.open_segment_id, log.audio_end_ms) == (2, 0)
