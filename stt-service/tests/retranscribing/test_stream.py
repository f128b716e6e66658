"""Finals of the retranscribing stream, with a model that returns scripted transcripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from service_kit.audio import AudioChunk
from stt_service.engine import FinalTranscript, LanguageSource, PartialTranscript, Segment, TranscriptionConfig, Word
from stt_service.retranscribing.recogniser import ClipTranscript
from stt_service.retranscribing.stream import RetranscribingStream, SharedModel, open_retranscribing_stream
from stt_service.retranscribing.transcription_slots import TranscriptionSlots
from stt_service.settings import SttSettings
from synthetic_speech import voice


class ScriptedRecogniser:
    """Returns its transcripts, one after another."""

    def __init__(self, *transcripts: ClipTranscript) -> None:
        self._transcripts = iter(transcripts)

    async def transcribe_clip(self, pcm: bytes, language: str, *, final: bool) -> ClipTranscript:
        return next(self._transcripts)


async def finals_of(
    recogniser: ScriptedRecogniser, pieces: int, config: TranscriptionConfig | None = None
) -> list[FinalTranscript]:
    """Return the finals of a segment of `pieces` utterances, each of maximum length."""
    shared = SharedModel(recogniser, TranscriptionSlots(1), SttSettings(max_utterance_s=1.5))
    async with open_retranscribing_stream(shared, config or TranscriptionConfig()) as stream:
        clock_ms = 0
        for _ in range(pieces):
            await stream.push_audio(AudioChunk(clock_ms, voice(1000)), Segment(1, 0, clock_ms + 1000))
            await stream.push_audio(AudioChunk(clock_ms + 1000, bytes(9600)), Segment(1, 0, clock_ms + 1300))
            clock_ms += 1300
        await stream.flush_segment(Segment(1, 0, clock_ms))
        await stream.end_audio()
        return [final async for final in only_finals(stream.transcripts())]


async def only_finals(transcripts: AsyncIterator[object]) -> AsyncIterator[FinalTranscript]:
    async for transcript in transcripts:
        if isinstance(transcript, FinalTranscript):
            yield transcript


async def final_of(
    recogniser: ScriptedRecogniser, chunks: list[AudioChunk], language: str = "", **settings: Any
) -> FinalTranscript:
    shared = SharedModel(recogniser, TranscriptionSlots(1), SttSettings(**settings))
    segment = Segment(1, chunks[0].start_ms, chunks[-1].end_ms)
    async with open_retranscribing_stream(shared, TranscriptionConfig(language)) as stream:
        for chunk in chunks:
            await stream.push_audio(chunk, segment)
        await stream.flush_segment(segment)
        await stream.end_audio()
        *_, final = [transcript async for transcript in stream.transcripts()]
    assert isinstance(final, FinalTranscript)
    return final


async def test_a_final_has_the_lowest_confidence_of_its_utterances() -> None:
    recogniser = ScriptedRecogniser(ClipTranscript("the ferry", "en", 0.9), ClipTranscript("leaves at nine", "en", 0.6))
    *_, final = await finals_of(recogniser, 2)
    assert (final.text, final.confidence) == ("the ferry leaves at nine", 0.6)
    assert (final.language, final.language_source) == ("en", LanguageSource.ENGINE)


async def test_the_configured_language_overrides_the_detected_one() -> None:
    (final,) = await finals_of(ScriptedRecogniser(ClipTranscript("the ferry", "en")), 1, TranscriptionConfig("nl"))
    assert (final.language, final.language_source) == ("nl", LanguageSource.CONFIG)


async def test_an_undetected_language_is_unknown() -> None:
    (final,) = await finals_of(ScriptedRecogniser(ClipTranscript("xylophone zebra")), 1)
    assert (final.language, final.language_source) == ("", LanguageSource.UNKNOWN)


async def test_a_dropped_hallucination_has_no_confidence() -> None:
    (final,) = await finals_of(ScriptedRecogniser(ClipTranscript("Thanks for watching!", "en", 0.9)), 1)
    assert (final.text, final.confidence) == ("", None)


async def test_words_of_a_final_are_on_the_audio_clock() -> None:
    words = (Word("the", 100, 300, 0.9), Word("ferry", 850, 1000, 0.8))
    recogniser = ScriptedRecogniser(ClipTranscript("the ferry", "en", 0.9, words, 0.97))
    final = await final_of(recogniser, [AudioChunk(2000, voice(500)), AudioChunk(6000, voice(500))])
    assert final.words == (Word("the", 2100, 2300, 0.9), Word("ferry", 6050, 6200, 0.8))
    assert final.language_probability == 0.97


async def test_a_final_has_the_words_of_all_its_utterances() -> None:
    first = ClipTranscript("one", "en", 0.9, (Word("one", 0, 200),), 0.6)
    second = ClipTranscript("two", "en", 0.9, (Word("two", 10, 200),), 0.9)
    chunks = [AudioChunk(0, voice(1500) + bytes(6400)), AudioChunk(1700, voice(400))]
    final = await final_of(ScriptedRecogniser(first, second), chunks, max_utterance_s=1.6)
    assert final.text == "one two"
    assert [word.text for word in final.words] == ["one", "two"]
    assert final.words[0].end_ms <= final.words[1].start_ms
    assert final.language_probability == 0.6


@pytest.mark.parametrize(
    "clip",
    [
        # A loop is reduced, ...
        ClipTranscript("no no no no no no no", "en", 0.9, tuple(Word("no", at, at) for at in range(7))),
        # ... a hallucination is dropped, ...
        ClipTranscript("Thanks for watching!", "en", 0.9, (Word("Thanks", 0, 1),)),
        # ... and some models give no words.
        ClipTranscript("the ferry", "en"),
    ],
)
async def test_words_that_do_not_match_the_text_are_left_out(clip: ClipTranscript) -> None:
    assert (await final_of(ScriptedRecogniser(clip), [AudioChunk(0, voice(1000))])).words == ()


async def test_a_configured_language_has_no_probability() -> None:
    final = await final_of(
        ScriptedRecogniser(ClipTranscript("the ferry", "en", 0.9, (), 1.0)), [AudioChunk(0, voice(1000))], "en"
    )
    assert final.language_probability is None


class RecordingRecogniser:
    """Its text is the length of the clip in ms; records the clips."""

    def __init__(self, language: str = "", probability: float | None = None) -> None:
        self.finals: list[int] = []
        self.partials: list[tuple[int, str]] = []
        self._language, self._probability = language, probability

    async def transcribe_clip(self, pcm: bytes, language: str, *, final: bool) -> ClipTranscript:
        length_ms = len(pcm) // 32
        if final:
            self.finals.append(length_ms)
        else:
            self.partials.append((length_ms, language))
        return ClipTranscript(f"{length_ms}", self._language, language_probability=self._probability)


def shared_by(recogniser: Any, **options: Any) -> SharedModel:
    return SharedModel(recogniser, TranscriptionSlots(1), SttSettings(partial_interval_ms=200), **options)


async def push(stream: RetranscribingStream, ms: int, start_ms: int = 0, pcm: bytes = b"") -> None:
    """Push speech in steps of 100 ms, with time for partials in between."""
    pcm = pcm or voice(ms)
    for at in range(0, ms, 100):
        chunk = AudioChunk(start_ms + at, pcm[at * 32 : (at + 100) * 32])
        await stream.push_audio(chunk, Segment(1, 0, chunk.end_ms))
        await asyncio.sleep(0.03)


async def last_final(stream: RetranscribingStream) -> FinalTranscript:
    await stream.end_audio()
    *_, final = [transcript async for transcript in stream.transcripts()]
    assert isinstance(final, FinalTranscript)
    return final


@pytest.mark.virtual_clock
@pytest.mark.parametrize(
    ("settled_after_ms", "finals"), [(None, [2000, 3000]), (5000.0, [2000, 3000]), (2000.0, [2000, 1000])]
)
async def test_a_long_utterance_that_was_flushed_is_not_transcribed_again(
    settled_after_ms: float | None, finals: list[int]
) -> None:
    recogniser = RecordingRecogniser()
    shared = shared_by(recogniser, settled_after_ms=settled_after_ms)
    async with open_retranscribing_stream(shared, TranscriptionConfig("en")) as stream:
        await push(stream, 2000)
        await stream.flush_segment(Segment(1, 0, 2000))
        await stream.flush_segment(Segment(1, 0, 2000))
        await push(stream, 1000, 2000)
        await stream.flush_segment(Segment(1, 0, 3000))
        final = await last_final(stream)
    assert recogniser.finals == finals
    assert final.text == ("2000 1000" if finals[1] == 1000 else "3000")


@pytest.mark.virtual_clock
async def test_partials_of_a_long_utterance_cover_its_end() -> None:
    recogniser = RecordingRecogniser()
    shared = shared_by(recogniser, partial_window_ms=4000)
    async with open_retranscribing_stream(shared, TranscriptionConfig("en", partial_transcripts=True)) as stream:
        await push(stream, 10_000)
        await stream.end_audio()
        partials = [transcript async for transcript in stream.transcripts()]
    assert max(length_ms for length_ms, _ in recogniser.partials) <= 4000
    # The parts that are kept, and the end: together the audio so far.
    assert sum(int(part) for part in partials[-1].text.split()) == pytest.approx(9900, abs=400)
    assert len(partials[-1].text.split()) >= 3


@pytest.mark.virtual_clock
@pytest.mark.parametrize(("probability", "known"), [(0.95, "de"), (None, "de"), (0.5, "")])
async def test_a_language_detected_with_certainty_is_kept_for_partials(probability: float | None, known: str) -> None:
    recogniser = RecordingRecogniser("de", probability)
    async with open_retranscribing_stream(
        shared_by(recogniser), TranscriptionConfig("", partial_transcripts=True)
    ) as stream:
        await push(stream, 1000)
        assert recogniser.partials[0][1] == ""
        assert {language for _, language in recogniser.partials[1:]} == {known}
        await stream.flush_segment(Segment(1, 0, 1000))
        await stream.commit_segment(Segment(1, 0, 1000))
        count = len(recogniser.partials)
        await push(stream, 1000, 1000)
        # The next utterance may be in another language.
        assert recogniser.partials[count][1] == ""


@pytest.mark.virtual_clock
@pytest.mark.parametrize(("configured", "expected"), [("", ("de", "")), ("nl", ("nl", "nl"))])
async def test_short_partials_are_in_the_language_heard_last(configured: str, expected: tuple[str, str]) -> None:
    recogniser = RecordingRecogniser("de", 0.5)
    shared = shared_by(recogniser, identified_from_ms=500)
    async with open_retranscribing_stream(shared, TranscriptionConfig(configured, partial_transcripts=True)) as stream:
        await push(stream, 400)
        # Nothing was heard yet.
        assert {language for _, language in recogniser.partials} == {configured}
        await stream.flush_segment(Segment(1, 0, 400))
        await stream.commit_segment(Segment(1, 0, 400))
        recogniser.partials.clear()
        await push(stream, 700, 400)
    short, longer = expected
    assert {length_ms < 500 for length_ms, _ in recogniser.partials} == {True, False}
    assert all(language == (short if length_ms < 500 else longer) for length_ms, language in recogniser.partials)


@pytest.mark.virtual_clock
async def test_the_interval_of_partials_follows_the_language_heard_last() -> None:
    asked: list[str] = []

    def interval_ms(language: str) -> int:
        asked.append(language)
        return 700 if language == "de" else 200

    recogniser = RecordingRecogniser("de", 0.9)
    shared = shared_by(recogniser, partial_interval_ms=interval_ms)
    async with open_retranscribing_stream(shared, TranscriptionConfig("", partial_transcripts=True)) as stream:
        await push(stream, 1000)
        assert set(asked) == {"", "de"}
        await stream.flush_segment(Segment(1, 0, 1000))
        await stream.commit_segment(Segment(1, 0, 1000))
        asked.clear()
        recogniser.partials.clear()
        await push(stream, 1000, 1000)
    assert set(asked) == {"de"}
    assert [length_ms for length_ms, _ in recogniser.partials] == [700]


@pytest.mark.virtual_clock
async def test_silence_after_speech_brings_no_further_partials() -> None:
    recogniser = RecordingRecogniser()
    async with open_retranscribing_stream(
        shared_by(recogniser), TranscriptionConfig("en", partial_transcripts=True)
    ) as stream:
        await push(stream, 1000)
        spoken = len(recogniser.partials)
        await push(stream, 2000, 1000, bytes(64_000))
    assert spoken >= 3
    # One for the last words.
    assert len(recogniser.partials) - spoken <= 2


@pytest.mark.parametrize(
    ("text", "confidence", "expected_text", "expected"),
    [
        ("where is where is", 0.8, "where is", 0.8),
        ("where is", None, "where is", None),
        # Moonshine writes this for a burst of noise, with a confidence of 0.85.
        ("You", 0.85, "You", 0.0),
    ],
)
async def test_partial_has_the_confidence_of_its_text(
    text: str, confidence: float | None, expected_text: str, expected: float | None
) -> None:
    shared = SharedModel(
        ScriptedRecogniser(ClipTranscript(text, "en", confidence)), TranscriptionSlots(1), SttSettings()
    )
    async with open_retranscribing_stream(shared, TranscriptionConfig("en", partial_transcripts=True)) as stream:
        await stream.push_audio(AudioChunk(0, voice(1000)), Segment(1, 0, 1000))
        partial = await anext(aiter(stream.transcripts()))
    assert isinstance(partial, PartialTranscript)
    assert (partial.text, partial.confidence) == (expected_text, expected)
