"""Alternatives to finals by a second model: from the last partial, or made beside the final, without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from service_kit.audio import AudioChunk
from service_kit.errors import EngineFailed
from stt_service.engine import FinalTranscript, Segment, TranscriptionConfig
from stt_service.retranscribing.alternatives import AlternativeModel
from stt_service.retranscribing.recogniser import ClipTranscript
from stt_service.retranscribing.stream import SharedModel, open_retranscribing_stream
from stt_service.retranscribing.transcription_slots import TranscriptionSlots
from stt_service.settings import SttSettings
from synthetic_speech import voice

pytestmark = pytest.mark.virtual_clock
FINAL_S = 0.3


class TwoModels:
    """A model for finals and a second one, for partials and alternatives."""

    def __init__(self, text: str, other: str, language: str = "en", other_s: float = 0.1) -> None:
        self.text, self.other, self.language, self.other_s = text, other, language, other_s
        self.asked = 0

    async def transcribe_clip(self, pcm: bytes, language: str, *, final: bool) -> ClipTranscript:
        if not final:
            return await self.transcribe_other(pcm)
        await asyncio.sleep(FINAL_S)
        return ClipTranscript(self.text, self.language)

    async def transcribe_other(self, pcm: bytes) -> ClipTranscript:
        self.asked += 1
        await asyncio.sleep(self.other_s)
        if not self.other:
            raise EngineFailed("stt.engine_failed", "it is gone")
        return ClipTranscript(self.other, "en", by_other_model=True)


async def final_of(
    models: TwoModels,
    config: TranscriptionConfig,
    seconds: int = 1,
    shared: Callable[[SharedModel], SharedModel] | None = None,
) -> tuple[FinalTranscript, float]:
    """The final of a segment of speech, and how long it took."""
    model = AlternativeModel("en", 3000, models.transcribe_other)
    of_stream = SharedModel(
        models, TranscriptionSlots(1), SttSettings(partial_interval_ms=200),
        partial_slots=TranscriptionSlots(1), alternative=model,
    )  # fmt: skip
    pcm = voice(1000 * seconds)
    segment = Segment(1, 0, 1000 * seconds)
    async with open_retranscribing_stream(shared(of_stream) if shared else of_stream, config) as stream:
        for at in range(0, 1000 * seconds, 100):
            await stream.push_audio(AudioChunk(at, pcm[at * 32 : (at + 100) * 32]), segment)
            await asyncio.sleep(0.1)
        # A pause, in which the last partial ends.
        await stream.push_audio(AudioChunk(1000 * seconds, bytes(16_000)), segment)
        await asyncio.sleep(0.5)
        begun_s = asyncio.get_running_loop().time()
        await stream.flush_segment(segment)
        took_s = asyncio.get_running_loop().time() - begun_s
        await stream.end_audio()
        *_, final = [transcript async for transcript in stream.transcripts()]
    assert isinstance(final, FinalTranscript)
    return final, took_s


@pytest.mark.parametrize("language", ["", "en"])
async def test_the_second_model_transcribes_beside_the_final(language: str) -> None:
    final, took_s = await final_of(TwoModels("my power of fun", "my power off on"), TranscriptionConfig(language))
    assert (final.text, final.alternatives) == ("my power of fun", ("my power off on",))
    assert took_s == pytest.approx(FINAL_S)


async def test_a_partial_that_covers_the_speech_is_not_made_again() -> None:
    models = TwoModels("my power of fun", "my power off on")
    final, _ = await final_of(models, TranscriptionConfig("en", partial_transcripts=True))
    partials = models.asked
    assert final.alternatives == ("my power off on",)
    await final_of(models, TranscriptionConfig("en"))
    # As many partials as before, and one alternative.
    assert models.asked == partials + 1


@pytest.mark.parametrize(
    "models",
    [
        # Too late, ...
        TwoModels("my power of fun", "my power off on", other_s=2 * FINAL_S),
        # ... the same words, ...
        TwoModels("My power, of fun.", "my power of fun"),
        # ... no final, ...
        TwoModels("", "Thank you."),
        # ... another language, ...
        TwoModels("der Strom ist aus", "there's trauma sauce", "de"),
        # ... and a failure.
        TwoModels("my power of fun", ""),
    ],
)
async def test_other_alternatives_are_left_out(models: TwoModels) -> None:
    final, took_s = await final_of(models, TranscriptionConfig())
    assert final.text == models.text
    assert final.alternatives == ()
    assert took_s == pytest.approx(FINAL_S)
    assert models.asked == 1


@pytest.mark.parametrize(("language", "seconds"), [("de", 1), ("en", 4)])
async def test_other_languages_and_long_clips_are_not_transcribed_twice(language: str, seconds: int) -> None:
    models = TwoModels("der Strom", "there's trauma", language)
    final, _ = await final_of(models, TranscriptionConfig(language), seconds)
    assert (final.alternatives, models.asked) == ((), 0)


async def test_an_engine_of_one_model_has_no_alternatives() -> None:
    def alone(shared: SharedModel) -> Any:
        return replace(shared, alternative=None)

    models = TwoModels("my power of fun", "my power off on")
    final, _ = await final_of(models, TranscriptionConfig("en"), shared=alone)
    assert (final.alternatives, models.asked) == ((), 0)
