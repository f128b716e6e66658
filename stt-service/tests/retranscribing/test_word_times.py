"""Words with times: from the clip a model heard to the audio clock, and over real gRPC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from service_kit.audio import AudioChunk
from stt_service.engine import Final, Segment, TranscriptionConfig, Word
from stt_service.retranscribing.finals_first import FinalsFirst
from stt_service.retranscribing.recogniser import Reading
from stt_service.retranscribing.stream import Shared, retranscribing
from stt_service.retranscribing.utterance import MAX_PAUSE_MS, Utterance
from stt_service.settings import SttSettings


class Listener:
    """Answers with its readings, one after another."""

    def __init__(self, *readings: Reading) -> None:
        self._readings = iter(readings)

    async def recognise(self, pcm: bytes, language: str, *, final: bool) -> Reading:
        return next(self._readings)


def voice(ms: int) -> bytes:
    """As loud and as broken as speech."""
    at = np.arange(ms * 16) / 16_000
    wave = 0.3 * np.sin(2 * np.pi * 200 * at) * (np.sin(2 * np.pi * 3 * at) > -0.5)
    return (wave * 32767).astype("<i2").tobytes()


async def final_of(listener: Listener, chunks: list[AudioChunk], language: str = "", **settings: Any) -> Final:
    shared = Shared(listener, FinalsFirst(1), SttSettings(**settings))
    segment = Segment(1, chunks[0].start_ms, chunks[-1].end_ms)
    async with retranscribing(shared, TranscriptionConfig(language)) as stream:
        for chunk in chunks:
            await stream.feed(chunk, segment)
        await stream.flush(segment)
        await stream.finish()
        *_, final = [transcript async for transcript in stream.transcripts()]
    assert isinstance(final, Final)
    return final


def test_a_clip_is_on_the_audio_clock_from_its_first_sample() -> None:
    utterance = Utterance()
    utterance.hear(AudioChunk(7000, voice(500)))
    utterance.hear(AudioChunk(7500, voice(500)))
    assert [utterance.clock_ms(ms) for ms in (0, 499, 500, 1000)] == [7000, 7499, 7500, 8000]


def test_behind_a_gap_the_clock_goes_on_where_the_audio_does() -> None:
    utterance = Utterance()
    utterance.hear(AudioChunk(1000, voice(400)))
    utterance.hear(AudioChunk(9000, voice(400)))
    assert utterance.clock_ms(400) == 1400
    # The gap is heard shortened, and nothing in it lies behind its end.
    assert utterance.clock_ms(400 + MAX_PAUSE_MS - 1) == 1400 + MAX_PAUSE_MS - 1
    assert utterance.clock_ms(400 + MAX_PAUSE_MS) == 9000
    assert utterance.clock_ms(400 + MAX_PAUSE_MS + 250) == 9250


def test_the_rest_of_a_cut_utterance_keeps_its_place() -> None:
    utterance = Utterance()
    utterance.hear(AudioChunk(0, voice(1000)))
    utterance.hear(AudioChunk(5000, voice(600) + bytes(3200) + voice(400)))
    utterance.hear(AudioChunk(8000, voice(300)))
    whole_ms = utterance.ms
    before = utterance.clock_ms(whole_ms - 100)
    rest = utterance.cut()
    assert rest.clock_ms(0) == utterance.clock_ms(utterance.ms)
    assert rest.clock_ms(rest.ms - 100) == before == 8200


def test_stamps_that_are_rounded_are_no_gaps() -> None:
    utterance = Utterance()
    for number in range(100):
        # 10.0625 ms each.
        utterance.hear(AudioChunk(round(number * 10.0625), voice(11)[:322]))
    assert utterance.clock_ms(utterance.ms) == pytest.approx(1006, abs=2)


def test_stamps_without_audio_take_no_memory_and_the_last_counts() -> None:
    utterance = Utterance()
    utterance.hear(AudioChunk(50_000, voice(100)))
    for number in range(1000):
        utterance.hear(AudioChunk(40_000 - 10 * number, b""))
    utterance.hear(AudioChunk(30_010, voice(100)))
    assert len(utterance._clock) == 2
    assert [utterance.clock_ms(ms) for ms in (50, 150)] == [50_050, 30_060]


async def test_words_of_a_final_are_on_the_audio_clock() -> None:
    words = (Word("the", 100, 300, 0.9), Word("ferry", 850, 1000, 0.8))
    listener = Listener(Reading("the ferry", "en", 0.9, words, 0.97))
    final = await final_of(listener, [AudioChunk(2000, voice(500)), AudioChunk(6000, voice(500))])
    assert final.words == (Word("the", 2100, 2300, 0.9), Word("ferry", 6050, 6200, 0.8))
    assert final.language_probability == 0.97


async def test_words_of_every_utterance_of_a_segment_are_there() -> None:
    first = Reading("one", "en", 0.9, (Word("one", 0, 200),), 0.6)
    second = Reading("two", "en", 0.9, (Word("two", 10, 200),), 0.9)
    chunks = [AudioChunk(0, voice(1500) + bytes(6400)), AudioChunk(1700, voice(400))]
    final = await final_of(Listener(first, second), chunks, max_utterance_s=1.6)
    assert final.text == "one two"
    assert [word.text for word in final.words] == ["one", "two"]
    assert final.words[0].end_ms <= final.words[1].start_ms
    assert final.language_probability == 0.6


@pytest.mark.parametrize(
    "reading",
    [
        # A loop is kept once, ...
        Reading("no no no no no no no", "en", 0.9, tuple(Word("no", at, at) for at in range(7))),
        # ... what nobody said is left out, ...
        Reading("Thanks for watching!", "en", 0.9, (Word("Thanks", 0, 1),)),
        # ... and some models have none.
        Reading("the ferry", "en"),
    ],
)
async def test_words_that_are_not_the_texts_are_left_out(reading: Reading) -> None:
    assert (await final_of(Listener(reading), [AudioChunk(0, voice(1000))])).words == ()


async def test_a_language_that_was_set_has_no_probability() -> None:
    final = await final_of(Listener(Reading("the ferry", "en", 0.9, (), 1.0)), [AudioChunk(0, voice(1000))], "en")
    assert final.language_probability is None


async def test_words_travel_over_grpc(settings: SttSettings, serve: Any, ferry: bytes, tmp_path: Path) -> None:
    script = tmp_path / "script.toml"
    script.write_text('[stt]\ntranscripts = ["when does it leave"]\nfinal_after = "flush"\nword_times = true\n')
    scripted = settings.model_copy(update={"engine": "scripted", "script": script})
    async with serve(scripted) as (_, open_microphone), open_microphone() as microphone:
        await microphone.configure()
        await microphone.speak(ferry)
        await microphone.flush()
        final = await microphone.final()
    assert [word.text for word in final.words] == final.text.split()
    assert [(word.start_ms, word.end_ms) for word in final.words][:2] == [(0, 200), (200, 400)]
    assert not final.words[0].HasField("confidence")
    assert not final.HasField("language_probability")
