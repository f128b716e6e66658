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


class Recorder:
    """A `PhraseEngine` that remembers what it was told to say; 100 ms of sound a phrase."""

    info = EngineInfo("recorder", "none", "0", ("en",), 24_000)

    def __init__(self) -> None:
        self.said: list[str] = []
        self.turns: list[tuple[SpeakerTurn, ...]] = []

    def voices(self) -> Sequence[Voice]:
        return (VOICE,)

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        yield

    @asynccontextmanager
    async def synthesize(self, phrase: PhraseRequest, config: SynthesisConfig) -> AsyncGenerator[AsyncIterator[Speech]]:
        self.said.append(phrase.text)
        self.turns.append(phrase.speaker_turns)

        async def speech() -> AsyncIterator[Speech]:
            yield Word(0, 1, 0)
            yield Samples(np.full(2400, 0.2, np.float32))

        yield speech()


@pytest.fixture
def engine() -> Recorder:
    return Recorder()


@pytest.fixture
def reply(engine: Recorder) -> PhraseReplyStream:
    limits = ReplyLimits(1000, 160, 10.0, low_speech_ms=50, text_stall_ms=60, engine_silent_s=1)
    return StreamAdapter(engine, limits).open_stream(SynthesisConfig(VOICE, "en"))


@pytest.fixture
async def heard(reply: PhraseReplyStream) -> AsyncIterator[list[SpeechAudio | SpeechMark]]:
    events: list[SpeechAudio | SpeechMark] = []

    async def emit(event: SpeechAudio | SpeechMark) -> None:
        events.append(event)

    async with asyncio.TaskGroup() as tasks:
        speaking = tasks.create_task(reply.run(emit))
        yield events
        speaking.cancel()


async def test_the_first_phrase_goes_to_the_engine_with_its_last_token(
    reply: PhraseReplyStream, engine: Recorder, heard: list[object]
) -> None:
    await reply.send_text("Good evening")
    await asyncio.sleep(0)
    await reply.send_text(",")
    for _ in range(3):
        await asyncio.sleep(0)
    assert engine.said == ["Good evening,"]


async def test_a_stalled_text_is_spoken_up_to_its_last_whole_word(
    reply: PhraseReplyStream, engine: Recorder, heard: list[object]
) -> None:
    await reply.send_text("Well I never thought th")
    await asyncio.sleep(0.03)
    assert engine.said == []
    await asyncio.sleep(0.1)
    assert engine.said == ["Well I never thought "]


async def test_too_little_is_not_spoken_when_the_text_stalls(
    reply: PhraseReplyStream, engine: Recorder, heard: list[object]
) -> None:
    await reply.send_text("So ")
    await asyncio.sleep(0.15)
    assert engine.said == []
    await reply.send_text("be it!")
    await asyncio.sleep(0.01)
    assert engine.said == ["So be it!"]


async def test_a_clause_is_spoken_when_the_listener_runs_out_of_speech(
    reply: PhraseReplyStream, engine: Recorder, heard: list[object]
) -> None:
    await reply.send_text("Good evening, ")
    await reply.send_text("we have a long story, that is not")
    await asyncio.sleep(0.02)
    assert engine.said == ["Good evening,"]
    await asyncio.sleep(0.06)
    assert engine.said[1:] == [" we have a long story,"]


async def test_words_that_the_engine_skipped_are_marked_at_the_phrases_end(
    reply: PhraseReplyStream, heard: list[SpeechAudio | SpeechMark]
) -> None:
    await reply.send_text("Hello big world.")
    await reply.end_text()
    await reply.end_text()
    await asyncio.sleep(0.02)
    assert [event for event in heard if isinstance(event, SpeechMark)] == [
        SpeechMark(0, 5, 0),
        SpeechMark(6, 9, 100),
        SpeechMark(10, 16, 100),
    ]


async def test_text_after_the_end_is_refused(reply: PhraseReplyStream) -> None:
    await reply.end_text()
    with pytest.raises(InvalidRequest, match="after the end"):
        await reply.send_text("more")


async def test_a_speakers_turn_lasts_until_another_is_named(
    reply: PhraseReplyStream, engine: Recorder, heard: list[object]
) -> None:
    for delta in (
        "Nobody is named here. [SPEA",
        "KER1] Hello there. How do you do? [SPEAKER0]",
        " Quite well, thanks.",
    ):
        await reply.send_text(delta)
    await reply.end_text()
    async with asyncio.timeout(5):
        while len(engine.said) < 4:
            await asyncio.sleep(0.01)
    turns = dict(zip((said.strip() for said in engine.said), engine.turns, strict=True))
    assert turns["Nobody is named here."] == ()
    assert turns["Hello there."][-1][1] == 1
    assert turns["How do you do?"] == ((0, 1),)
    assert turns["Quite well, thanks."][-1][1] == 0
