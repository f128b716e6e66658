"""The load by what users wait for, and streams that are reopened without partial transcripts."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from orchestrator.admission.load_meter import LoadMeter, MeteredStt
from orchestrator.conversation.model.ports import FinalTranscript, PartialTranscript
from service_kit.audio import AudioChunk
from service_kit.errors import AtCapacity

CHUNK = AudioChunk(0, bytes(640))


def test_load_is_the_mean_wait_for_transcripts_of_the_last_seconds():
    meter = LoadMeter()
    assert meter.load(0) == 0
    for stream, flushed_s, final_s in (("a", 0, 0.2), ("b", 0, 0.6)):
        meter.on_flush(stream, flushed_s)
        meter.on_final(stream, final_s)
    assert meter.load(1) == pytest.approx(0.4)
    assert meter.load(10) == 0


def test_late_transcript_counts_before_it_comes():
    meter = LoadMeter()
    meter.on_flush("a", 0)
    assert meter.load(0.9) == 0
    assert meter.load(2.5) == 2.5
    meter.forget("a")
    assert meter.load(2.5) == 0


def test_final_that_nobody_asked_for_is_no_sample():
    meter = LoadMeter()
    meter.on_final("a", 5)
    assert meter.load(5) == 0


def test_late_loop_is_load_too():
    meter = LoadMeter()
    meter.on_lag(0.1, 0)
    meter.on_lag(0.5, 1)
    assert meter.load(1) == pytest.approx(1.5)
    assert meter.load(5) == 0


class FakeStream:
    def __init__(self) -> None:
        self.sent: list[object] = []

    async def push_audio(self, chunk: AudioChunk) -> None:
        self.sent.append(chunk)

    async def flush_segment(self, segment_id: int) -> None:
        self.sent.append(("flush", segment_id))

    async def commit_segment(self, segment_id: int) -> None:
        self.sent.append(("commit", segment_id))

    async def transcripts(self) -> AsyncGenerator[PartialTranscript | FinalTranscript]:
        yield PartialTranscript(1, "what", 300)
        yield FinalTranscript(1, 1, "what is new", 900)


class FakeStt:
    def __init__(self) -> None:
        self.stream = FakeStream()

    @asynccontextmanager
    async def open(self, language: str) -> AsyncGenerator[FakeStream]:
        assert language == "en"
        yield self.stream


async def test_waits_on_a_stream_are_measured_and_everything_passes():
    stt, meter, clock = FakeStt(), LoadMeter(), [0.0]
    metered = MeteredStt(stt, meter, lambda: clock[0], lambda: True)
    async with metered.open("en") as stream:
        await stream.push_audio(CHUNK)
        await stream.flush_segment(1)
        clock[0] = 0.7
        received = [item async for item in stream.transcripts()]
        await stream.commit_segment(1)
    assert stt.stream.sent == [CHUNK, ("flush", 1), ("commit", 1)]
    assert [type(item) for item in received] == [PartialTranscript, FinalTranscript]
    assert meter.load(1) == pytest.approx(0.7)


async def test_stream_that_ends_is_not_waited_for():
    meter, clock = LoadMeter(), [0.0]
    metered = MeteredStt(FakeStt(), meter, lambda: clock[0], lambda: True)
    async with metered.open("en") as stream:
        await stream.flush_segment(1)
    assert meter.load(5) == 0


async def test_stream_is_reopened_between_segments_when_partials_are_left_out():
    stt, wants = FakeStt(), [True]
    metered = MeteredStt(stt, LoadMeter(), lambda: 0.0, lambda: wants[0])
    async with metered.open("en") as stream:
        await stream.push_audio(CHUNK)
        wants[0] = False
        await stream.push_audio(CHUNK)
        await stream.commit_segment(1)
        # The code of a slot that was given to another microphone: the session opens a new stream at once.
        with pytest.raises(AtCapacity, match=r"stt\.idle"):
            await stream.push_audio(CHUNK)
    assert stt.stream.sent == [CHUNK, CHUNK, ("commit", 1)]
