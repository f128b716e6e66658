"""Which detector is in charge, what the next one analyses, and which edges the session gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from orchestrator.conversation.echo.recent_audio import RecentAudio
from orchestrator.conversation.input.lost_services import LostServices
from orchestrator.conversation.input.speech_detector import SpeechDetector
from orchestrator.conversation.model.event_queue import EventQueue
from orchestrator.conversation.model.events import ServiceLost, ServiceRecovered
from orchestrator.conversation.model.ports import (
    AudioAnalysed,
    PartialTranscript,
    SpeechStarted,
    SpeechStopped,
    TurnEndPredicted,
)
from service_kit.audio import AudioChunk
from service_kit.errors import AnchorError, PeerFailed
from service_kit.tasks import stop_task

pytestmark = pytest.mark.virtual_clock

LOUD = b"\x00\x20" * 320
QUIET = bytes(640)
GONE = PeerFailed("vad.unavailable", "gone")


class Stream:
    """Records the spans of its audio; its events are those that the test sends."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []
        self.transcripts: list[str] = []
        self.intervals_ms: list[int] = []
        self.sent: asyncio.Queue[object] = asyncio.Queue()

    async def push_audio(self, chunk: AudioChunk) -> None:
        self.spans.append((chunk.start_ms, chunk.end_ms))

    async def push_transcript(self, text: str, end_ms: int, language: str) -> None:
        self.transcripts.append(text)

    async def request_activity(self, interval_ms: int) -> None:
        self.intervals_ms.append(interval_ms)

    async def events(self) -> AsyncGenerator[object]:
        while True:
            event = await self.sent.get()
            if isinstance(event, AnchorError):
                raise event
            yield event


class Vad:
    """Opens streams while it is `there`."""

    def __init__(self) -> None:
        self.there = True
        self.streams: list[Stream] = []

    @asynccontextmanager
    async def open(self, language: str) -> AsyncGenerator[Stream]:
        if not self.there:
            raise GONE
        self.streams.append(Stream())
        yield self.streams[-1]


class Detection:
    """A running detector with its microphone."""

    def __init__(self) -> None:
        self.vad = Vad()
        self.queue = EventQueue()
        self.recent_audio = RecentAudio()
        self.detector = SpeechDetector(
            self.vad,  # type: ignore[arg-type]
            "en",
            self.recent_audio,
            self.queue,
            LostServices(self.queue),
        )
        self.position_ms = 0
        self.task = asyncio.create_task(self.detector.run())

    async def sound(self, ms: int, pcm: bytes = QUIET) -> None:
        """Send so much audio, in real time."""
        for _ in range(ms // 20):
            await asyncio.sleep(0.02)
            chunk = AudioChunk(self.position_ms, pcm)
            self.position_ms = chunk.end_ms
            self.recent_audio.append(chunk)
            self.detector.push_audio(chunk)

    async def analysed_sound(self, ms: int) -> None:
        """Send so much audio, which the stream analyses."""
        for _ in range(ms // 500):
            await self.sound(500)
            await self.send(AudioAnalysed(self.position_ms))

    async def send(self, *events: object) -> None:
        """Send events on the newest stream."""
        for event in events:
            self.vad.streams[-1].sent.put_nowait(event)
        await asyncio.sleep(0.001)

    async def events(self) -> list[object]:
        """The events of the session so far."""
        events: list[object] = []
        while self.queue._events.qsize():  # pyright: ignore[reportPrivateUsage]
            events.append(await self.queue.get())
        return events

    async def lose(self) -> None:
        self.vad.there = False
        await self.send(GONE)


@pytest.fixture
async def detection():
    running = Detection()
    yield running
    await stop_task(running.task)


async def test_events_of_the_stream_are_those_of_the_session(detection):
    await detection.sound(1_000, LOUD)
    events = [SpeechStarted(100, 0), SpeechStopped(600), TurnEndPredicted(600, 0.7, "rule")]
    await detection.send(AudioAnalysed(32), *events)
    assert await detection.events() == events


async def test_edges_that_change_nothing_are_dropped(detection):
    await detection.sound(1_000, LOUD)
    await detection.send(AudioAnalysed(32), SpeechStopped(50), SpeechStarted(100, 0), SpeechStarted(200, 0))
    assert await detection.events() == [SpeechStarted(100, 0)]


async def test_loudness_continues_where_the_stream_had_got_to(detection):
    await detection.sound(1_000)
    await detection.send(AudioAnalysed(1_000))
    # The stream gets the question, and is lost before it says so.
    await detection.sound(400)
    await detection.sound(600, LOUD)
    await detection.sound(400)
    await detection.lose()
    assert await detection.events() == [
        ServiceLost("vad", GONE),
        SpeechStarted(1_400, 1_100),
        SpeechStopped(2_000),
        TurnEndPredicted(2_000, 0.5, "energy"),
    ]


async def test_speech_that_the_stream_found_is_not_found_again(detection):
    await detection.sound(1_000, LOUD)
    await detection.send(AudioAnalysed(32), SpeechStarted(0, 0), AudioAnalysed(900))
    await detection.lose()
    await detection.sound(400, LOUD)
    await detection.sound(400)
    assert await detection.events() == [
        SpeechStarted(0, 0),
        ServiceLost("vad", GONE),
        SpeechStopped(1_400),
        TurnEndPredicted(1_400, 0.5, "energy"),
    ]


async def test_a_new_stream_gets_the_second_before_it(detection):
    await detection.sound(2_000)
    await detection.send(AudioAnalysed(2_000))
    await detection.lose()
    await detection.sound(1_000)
    detection.vad.there = True
    await detection.sound(1_000)
    opened, opened_ms = detection.vad.streams[-1], detection.vad.streams[-1].spans[0][1]
    assert 900 <= opened_ms - opened.spans[0][0] <= 1_040
    # No gap, no overlap.
    assert all(end == start for (_, end), (start, _) in zip(opened.spans, opened.spans[1:], strict=False))


async def test_a_new_stream_is_in_charge_once_it_agrees(detection):
    await detection.sound(1_000)
    await detection.lose()
    await detection.sound(500, LOUD)
    detection.vad.there = True
    await detection.sound(700, LOUD)
    await detection.events()
    await detection.send(AudioAnalysed(1_000))
    assert await detection.events() == []
    await detection.send(SpeechStarted(1_000, 700), AudioAnalysed(2_100))
    assert await detection.events() == [ServiceRecovered("vad", GONE)]
    await detection.send(SpeechStopped(2_200))
    assert await detection.events() == [SpeechStopped(2_200)]


async def test_a_stream_that_goes_on_disagreeing_is_right(detection):
    await detection.sound(1_000)
    await detection.lose()
    # A noise, which is loud and no speech.
    await detection.sound(500, LOUD)
    detection.vad.there = True
    await detection.sound(1_200, LOUD)
    await detection.events()
    await detection.send(AudioAnalysed(2_100))
    await detection.sound(300, LOUD)
    await detection.send(AudioAnalysed(2_500))
    assert await detection.events() == []
    await detection.send(AudioAnalysed(2_700))
    recovered, stopped = await detection.events()
    assert recovered == ServiceRecovered("vad", GONE)
    assert isinstance(stopped, SpeechStopped)


async def test_speech_without_a_pause_ends_and_the_stream_is_replaced(detection):
    await detection.sound(1_000)
    await detection.send(SpeechStarted(500, 200))
    await detection.analysed_sound(119_000)
    assert await detection.events() == [SpeechStarted(500, 200)]
    await detection.analysed_sound(1_000)
    stopped, lost = await detection.events()
    assert isinstance(stopped, SpeechStopped)
    assert 120_500 < stopped.at_ms < 120_600
    assert isinstance(lost, ServiceLost)
    assert lost.error.code == "vad.stuck"
    await detection.analysed_sound(2_000)
    assert [type(event) for event in await detection.events()] == [ServiceRecovered]
    assert len(detection.vad.streams) == 2


async def test_pauses_end_the_count_of_speech(detection):
    for _ in range(3):
        await detection.analysed_sound(1_000)
        await detection.send(SpeechStarted(detection.position_ms - 100, 0))
        await detection.analysed_sound(50_000)
        await detection.send(SpeechStopped(detection.position_ms - 100))
    assert {type(event) for event in await detection.events()} == {SpeechStarted, SpeechStopped}


async def test_transcripts_go_to_the_open_stream_only(detection):
    await detection.sound(100)
    detection.detector.push_transcript(PartialTranscript(1, "how", 80, "en"))
    await asyncio.sleep(0.01)
    await detection.lose()
    detection.detector.push_transcript(PartialTranscript(1, "how is", 90, "en"))
    detection.vad.there = True
    await detection.sound(1_200)
    assert [stream.transcripts for stream in detection.vad.streams] == [["how"], []]


async def test_a_change_of_language_loses_nothing_and_is_no_loss(detection):
    await detection.sound(1_000)
    await detection.send(AudioAnalysed(800))
    detection.detector.language.change("de")
    await detection.sound(200, LOUD)
    first, second = detection.vad.streams
    assert second.spans[0][0] <= 800 < first.spans[-1][1]
    await detection.send(AudioAnalysed(1_050), SpeechStarted(1_040, 800))
    assert await detection.events() == [SpeechStarted(1_040, 800)]


async def test_probability_of_speech_is_reported_on_request(detection):
    await detection.sound(1_000)
    await detection.send(AudioAnalysed(1_000, 0.4))
    assert await detection.events() == []
    detection.detector.reports_activity = True
    await detection.sound(1_000)
    # More often than was asked for.
    await detection.send(*(AudioAnalysed(at_ms, 0.5) for at_ms in range(1_020, 1_520, 20)))
    reported = await detection.events()
    assert [event.at_ms for event in reported] == [1_020, 1_120, 1_220, 1_320, 1_420]
    assert {event.probability for event in reported} == {0.5}
    detection.detector.reports_activity = False
    await detection.sound(200)
    await detection.send(AudioAnalysed(2_000, 0.5))
    assert await detection.events() == []
    assert detection.vad.streams[0].intervals_ms == [100, 500]


@pytest.mark.parametrize(("at_ms", "probability"), [(100, float("nan")), (100, 1.5), (100, None), (4_000_000_000, 0.5)])
async def test_probability_that_cannot_be_is_not_reported(detection, at_ms, probability):
    detection.detector.reports_activity = True
    await detection.sound(200)
    await detection.send(AudioAnalysed(at_ms, probability))
    assert await detection.events() == []
