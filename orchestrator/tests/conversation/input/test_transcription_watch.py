"""The deadlines of speech-to-text streams: signs of work, and transcripts in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from orchestrator.conversation.input.transcription_watch import AwaitedTranscript, TranscriptionWatch
from orchestrator.conversation.model.ports import FinalTranscript, TranscriptionProgress
from service_kit.audio import MICROPHONE, AudioChunk
from service_kit.errors import PeerFailed
from service_kit.tasks import stop_task

pytestmark = pytest.mark.virtual_clock


class Stream:
    """Accepts everything."""

    async def push_audio(self, chunk: AudioChunk) -> None:
        pass

    async def flush_segment(self, segment_id: int) -> None:
        pass

    async def commit_segment(self, segment_id: int) -> None:
        pass

    async def transcripts(self) -> AsyncGenerator[FinalTranscript]:
        return
        yield


class Watching:
    """A watch that runs, and the stream that it watches."""

    def __init__(self, watch: TranscriptionWatch) -> None:
        self.watch = watch
        self.stream = watch.watched(Stream())
        self.task = asyncio.create_task(watch.run())

    async def speak(self, length_ms: int, start_ms: int = 0) -> None:
        await self.stream.push_audio(AudioChunk(start_ms, bytes(MICROPHONE.bytes_for(length_ms))))

    async def work(self, seconds: float) -> None:
        """Let time pass with signs of work, until the stream is lost."""
        for _ in range(round(seconds / 0.5)):
            await asyncio.sleep(0.5)
            if self.task.done():
                return
            self.watch.on_received(TranscriptionProgress(0))


@pytest.fixture
async def watching():
    running = Watching(TranscriptionWatch())
    yield running
    if not running.task.done():
        await stop_task(running.task)


def lost_with(running: Watching) -> str:
    with pytest.raises(PeerFailed) as lost:
        running.task.result()
    return lost.value.code


async def test_audio_without_a_sign_of_work_is_a_loss_after_1_5_s(watching):
    await watching.speak(20)
    await asyncio.sleep(1.4)
    assert not watching.task.done()
    await asyncio.sleep(0.2)
    assert lost_with(watching) == "stt.silent"


async def test_a_flush_without_a_sign_of_work_is_a_loss(watching):
    await watching.stream.flush_segment(1)
    await asyncio.sleep(1.6)
    assert lost_with(watching) == "stt.silent"


async def test_a_silent_stream_owes_nothing(watching):
    await watching.speak(20)
    watching.watch.on_received(TranscriptionProgress(20))
    await asyncio.sleep(600)
    assert not watching.task.done()


@pytest.mark.parametrize(("audio_ms", "bound_s"), [(0, 6), (4_000, 10), (30_000, 36)])
async def test_a_transcript_is_due_by_the_length_of_its_segment(watching, audio_ms, bound_s):
    await watching.speak(audio_ms)
    await watching.stream.flush_segment(1)
    await watching.work(bound_s - 1)
    assert not watching.task.done()
    await watching.work(2)
    assert lost_with(watching) == "stt.late"


async def test_a_transcript_ends_the_wait_only_if_it_is_of_all_audio(watching):
    await watching.speak(1_000)
    await watching.stream.flush_segment(1)
    await watching.speak(1_000, 1_000)
    await watching.stream.flush_segment(1)
    watching.watch.on_received(FinalTranscript(1, 1, "of the first flush", 1_000))
    await watching.work(10)
    assert lost_with(watching) == "stt.late"


async def test_the_transcript_or_the_end_of_a_segment_ends_the_wait(watching):
    await watching.speak(1_000)
    await watching.stream.flush_segment(1)
    watching.watch.on_received(FinalTranscript(1, 1, "yes", 1_000))
    await watching.work(60)
    await watching.speak(1_000, 60_000)
    await watching.stream.flush_segment(1)
    await watching.stream.commit_segment(1)
    await watching.work(60)
    assert not watching.task.done()


async def test_a_service_that_was_late_gets_twice_the_time():
    watch = TranscriptionWatch()
    for bound_s in (6, 12, 24, 48, 48):
        running = Watching(watch)
        await running.stream.flush_segment(1)
        await running.work(bound_s - 1)
        assert not running.task.done()
        await running.work(2)
        assert lost_with(running) == "stt.late"


@pytest.mark.parametrize(
    ("final", "answers"),
    [
        (FinalTranscript(3, 1, "yes", 5_000), True),
        (FinalTranscript(3, 1, "yes", 4_900), True),
        (FinalTranscript(3, 1, "yes", 4_800), False),
        (FinalTranscript(2, 1, "yes", 5_000), False),
    ],
)
def test_which_final_answers(final, answers):
    assert AwaitedTranscript(3, 5_000).is_answered_by(final) is answers


def test_a_segment_without_audio_is_answered_by_any_final():
    assert AwaitedTranscript(3, 0).is_answered_by(FinalTranscript(3, 1, "", 0))
