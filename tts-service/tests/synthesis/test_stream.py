from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest
from service_kit.engines.info import EngineInfo
from service_kit.errors import InvalidRequest
from tts_service.engine import (
    PhraseRequest,
    Samples,
    SpeakerTurn,
    Speech,
    SpeechAudio,
    SpeechMark,
    SynthesisConfig,
    Voice,
    Word,
)
from tts_service.synthesis.stream import PhraseReplyStream, ReplyLimits, StreamAdapter

pytestmark = pytest.mark.virtual_clock

VOICE = Voice("v", "V", ("en",))


class RecordingEngine:
    """A `PhraseEngine` that records its phrases; 100 ms of audio per phrase."""

    info = EngineInfo("recorder", "none", "0", ("en",), 24_000)

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.turns: list[tuple[SpeakerTurn, ...]] = []

    def voices(self) -> Sequence[Voice]:
        return (VOICE,)

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        yield

    @asynccontextmanager
    async def synthesize(self, phrase: PhraseRequest, config: SynthesisConfig) -> AsyncGenerator[AsyncIterator[Speech]]:
        self.texts.append(phrase.text)
        self.turns.append(phrase.speaker_turns)

        async def speech() -> AsyncIterator[Speech]:
            yield Word(0, 1, 0)
            yield Samples(np.full(2400, 0.2, np.float32))

        yield speech()


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine()


@pytest.fixture
def stream(engine: RecordingEngine) -> PhraseReplyStream:
    limits = ReplyLimits(1000, 160, 10.0, low_speech_ms=50, text_stall_ms=60, engine_silent_s=1)
    return StreamAdapter(engine, limits).open_stream(SynthesisConfig(VOICE, "en"))


@pytest.fixture
async def events(stream: PhraseReplyStream) -> AsyncIterator[list[SpeechAudio | SpeechMark]]:
    received: list[SpeechAudio | SpeechMark] = []

    async def emit(event: SpeechAudio | SpeechMark) -> None:
        received.append(event)

    async with asyncio.TaskGroup() as tasks:
        speaking = tasks.create_task(stream.run(emit))
        yield received
        speaking.cancel()


async def test_first_phrase_starts_with_its_last_token(
    stream: PhraseReplyStream, engine: RecordingEngine, events: list[object]
) -> None:
    await stream.send_text("Good evening")
    await asyncio.sleep(0)
    await stream.send_text(",")
    for _ in range(3):
        await asyncio.sleep(0)
    assert engine.texts == ["Good evening,"]


async def test_stalled_text_is_spoken_up_to_its_last_whole_word(
    stream: PhraseReplyStream, engine: RecordingEngine, events: list[object]
) -> None:
    await stream.send_text("Well I never thought th")
    await asyncio.sleep(0.03)
    assert engine.texts == []
    await asyncio.sleep(0.1)
    assert engine.texts == ["Well I never thought "]


async def test_too_short_text_is_not_spoken_on_a_stall(
    stream: PhraseReplyStream, engine: RecordingEngine, events: list[object]
) -> None:
    await stream.send_text("So ")
    await asyncio.sleep(0.15)
    assert engine.texts == []
    await stream.send_text("be it!")
    await asyncio.sleep(0.01)
    assert engine.texts == ["So be it!"]


async def test_clause_is_spoken_when_little_audio_is_left(
    stream: PhraseReplyStream, engine: RecordingEngine, events: list[object]
) -> None:
    await stream.send_text("Good evening, ")
    await stream.send_text("we have a long story, that is not")
    await asyncio.sleep(0.02)
    assert engine.texts == ["Good evening,"]
    await asyncio.sleep(0.06)
    assert engine.texts[1:] == [" we have a long story,"]


async def test_skipped_words_are_marked_at_the_end_of_the_phrase(
    stream: PhraseReplyStream, events: list[SpeechAudio | SpeechMark]
) -> None:
    await stream.send_text("Hello big world.")
    await stream.end_text()
    await stream.end_text()
    await asyncio.sleep(0.02)
    assert [event for event in events if isinstance(event, SpeechMark)] == [
        SpeechMark(0, 5, 0),
        SpeechMark(6, 9, 100),
        SpeechMark(10, 16, 100),
    ]


async def test_text_after_the_end_is_refused(stream: PhraseReplyStream) -> None:
    await stream.end_text()
    with pytest.raises(InvalidRequest, match="after the end"):
        await stream.send_text("more")


async def test_speaker_turn_lasts_until_the_next_tag(
    stream: PhraseReplyStream, engine: RecordingEngine, events: list[object]
) -> None:
    for delta in (
        "There is no tag here. [SPEA",
        "KER1] Hello there. How do you do? [SPEAKER0]",
        " Quite well, thanks.",
    ):
        await stream.send_text(delta)
    await stream.end_text()
    async with asyncio.timeout(5):
        while len(engine.texts) < 4:
            await asyncio.sleep(0.01)
    turns = dict(zip((text.strip() for text in engine.texts), engine.turns, strict=True))
    assert turns["There is no tag here."] == ()
    assert turns["Hello there."][-1][1] == 1
    assert turns["How do you do?"] == ((0, 1),)
    assert turns["Quite well, thanks."][-1][1] == 0
