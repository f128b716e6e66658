"""Finals of the retranscribing stream, with a model that returns scripted transcripts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from service_kit.audio import AudioChunk
from stt_service.engine import FinalTranscript, LanguageSource, Segment, TranscriptionConfig, Word
from stt_service.retranscribing.recogniser import ClipTranscript
from stt_service.retranscribing.stream import SharedModel, open_retranscribing_stream
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
