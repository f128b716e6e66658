"""The faster-whisper engine without a real model: the library's arguments, its segments, and refusals."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from service_kit.audio import AudioChunk
from service_kit.errors import EngineFailed, InvalidRequest, Unsupported
from stt_service.engine import FinalTranscript, LanguageSource, Segment, TranscriptionConfig, Word
from stt_service.engines.faster_whisper import ClipOptions, FasterWhisperEngine, join_segments, load_model, transcribe
from stt_service.settings import SttSettings


@dataclass
class FakeSegment:
    """A segment as the library returns it."""

    text: str
    avg_logprob: float
    tokens: list[int] = field(default_factory=lambda: [1])
    words: list[Any] | None = None
    # Start of its window, in hundredths of a second.
    seek: int = 0


class FakeModel:
    """Yields its segments, one by one, and records its arguments."""

    supported_languages = ("en", "de")

    def __init__(self, *segments: FakeSegment) -> None:
        self._segments = segments
        self.arguments: dict[str, Any] = {}
        self.yielded = 0

    def transcribe(self, samples: np.ndarray[Any, Any], **arguments: Any) -> tuple[Any, Any]:
        self.arguments = arguments
        return self._yield_segments(), ENGLISH

    def _yield_segments(self) -> Any:
        for segment in self._segments:
            self.yielded += 1
            yield segment


SAMPLES = np.zeros(16_000, np.float32)
ENGLISH = SimpleNamespace(language="en", language_probability=0.9)


def word(text: str, start: float, end: float, probability: float = 0.5) -> SimpleNamespace:
    """A word as the library returns it, in seconds."""
    return SimpleNamespace(word=text, start=start, end=end, probability=probability)


def test_the_confidence_is_the_mean_token_probability() -> None:
    transcript = join_segments([FakeSegment(" The ferry", -0.1, [1] * 3), FakeSegment(" leaves.", -0.5, [1])], ENGLISH)
    assert (transcript.text, transcript.language) == ("The ferry leaves.", "en")
    assert transcript.confidence == pytest.approx(math.exp(-0.2))


@pytest.mark.parametrize("segments", [[], [FakeSegment("  ", -0.1)], [FakeSegment("word", -0.1, [])]])
def test_no_words_give_an_empty_transcript(segments: list[Any]) -> None:
    transcript = join_segments(segments, ENGLISH)
    assert (transcript.text, transcript.language, transcript.confidence) == ("", "", None)


def test_an_unset_language_is_detected_by_the_model() -> None:
    model = FakeModel(FakeSegment("hello", -0.1))
    assert transcribe(model, SAMPLES, ClipOptions(""), threading.Event()).language == "en"
    assert (model.arguments["language"], model.arguments["beam_size"]) == (None, 1)
    transcribe(model, SAMPLES, ClipOptions("de", 5), threading.Event())
    assert (model.arguments["language"], model.arguments["beam_size"]) == ("de", 5)


def test_words_have_times_and_the_language_a_probability() -> None:
    model = FakeModel(
        FakeSegment(
            " The ferry.", -0.1, [1, 2], [word(" The", 0.1, 0.3, 0.75), word(" ", 0.3, 0.3), word(" ferry.", 0.3, 0.9)]
        )
    )
    transcript = transcribe(model, SAMPLES, ClipOptions("", word_times=True), threading.Event())
    assert transcript.words == (Word("The", 100, 300, 0.75), Word("ferry.", 300, 900, 0.5))
    assert transcript.language_probability == 0.9
    assert model.arguments["word_timestamps"] is True


def test_word_times_can_be_turned_off() -> None:
    model = FakeModel(FakeSegment("word", -0.1))
    assert transcribe(model, SAMPLES, ClipOptions("en"), threading.Event()).words == ()
    assert model.arguments["word_timestamps"] is False


def test_audio_after_the_last_word_is_not_transcribed_again() -> None:
    model = FakeModel(
        FakeSegment(" The ferry.", -0.1, words=[word(" The", 0.1, 0.3)]), FakeSegment(" Thank you.", -0.1, seek=30)
    )
    assert transcribe(model, SAMPLES, ClipOptions("en", word_times=True), threading.Event()).text == "The ferry."
    longer = np.zeros(16_000 * 40, np.float32)
    model = FakeModel(
        FakeSegment(" The ferry.", -0.1),
        FakeSegment(" It leaves.", -0.1, seek=2800),
        FakeSegment(" Thank you.", -0.1, seek=3900),
    )
    assert (
        transcribe(model, longer, ClipOptions("en", word_times=True), threading.Event()).text == "The ferry. It leaves."
    )


async def test_only_finals_have_word_times(ferry: bytes) -> None:
    model = FakeModel(FakeSegment("word", -0.1))
    engine = FasterWhisperEngine(SttSettings(), lambda *_: model)
    async with engine.lifespan():
        await engine.transcribe_clip(ferry, "", final=False)
        assert model.arguments["word_timestamps"] is False
        await engine.transcribe_clip(ferry, "", final=True)
        assert model.arguments["word_timestamps"] is True
    without = FasterWhisperEngine(SttSettings(whisper_word_times=False), lambda *_: model)
    async with without.lifespan():
        await without.transcribe_clip(ferry, "", final=True)
        assert model.arguments["word_timestamps"] is False


def test_a_cancelled_clip_ends_between_segments() -> None:
    cancelled = threading.Event()

    class CancellingModel(FakeModel):
        def _yield_segments(self) -> Any:
            for segment in super()._yield_segments():
                if self.yielded == 2:
                    cancelled.set()
                yield segment

    model = CancellingModel(*[FakeSegment("word", -0.1)] * 5)
    assert transcribe(model, SAMPLES, ClipOptions(""), cancelled).text == "word"
    assert model.yielded == 2
    assert transcribe(model, SAMPLES, ClipOptions(""), cancelled).text == ""
    assert model.yielded == 2


async def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    engine = FasterWhisperEngine(SttSettings(models_dir=tmp_path))
    with pytest.raises(InvalidRequest, match=r"it lacks model.bin, config.json, tokenizer.json"):
        async with engine.lifespan():
            pass


def test_a_missing_library_is_named(tmp_path: Path) -> None:
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"{}")
    try:
        import faster_whisper  # noqa: F401
    except ImportError:
        with pytest.raises(InvalidRequest, match=r"stt-service\[faster-whisper\]"):
            load_model(tmp_path, SttSettings())
    else:
        pytest.skip("faster-whisper is installed here")


class BrokenModel(FakeModel):
    """Fails after the warm-up clip."""

    def transcribe(self, samples: np.ndarray[Any, Any], **arguments: Any) -> tuple[Any, Any]:
        if self.arguments:
            raise RuntimeError("CUDA failed with error out of memory")
        return super().transcribe(samples, **arguments)


async def test_a_clip_becomes_a_final(ferry: bytes) -> None:
    engine = FasterWhisperEngine(SttSettings(), lambda *_: FakeModel(FakeSegment(" When does the ferry leave?", -0.1)))
    async with engine.lifespan(), engine.open_stream(TranscriptionConfig()) as stream:
        segment = Segment(1, 0, 2000)
        await stream.push_audio(AudioChunk(0, ferry), segment)
        await stream.flush_segment(segment)
        await stream.end_audio()
        (final,) = [transcript async for transcript in stream.transcripts()]
    assert isinstance(final, FinalTranscript)
    assert (final.text, final.language, final.language_source) == (
        "When does the ferry leave?",
        "en",
        LanguageSource.ENGINE,
    )
    assert final.confidence == pytest.approx(math.exp(-0.1))


async def test_a_model_error_fails_the_call(ferry: bytes) -> None:
    engine = FasterWhisperEngine(SttSettings(), lambda *_: BrokenModel())
    async with engine.lifespan():
        with pytest.raises(EngineFailed, match="out of memory"):
            await engine.transcribe_clip(ferry, "", final=True)


async def test_an_unsupported_language_is_refused() -> None:
    engine = FasterWhisperEngine(SttSettings(), lambda *_: FakeModel())
    async with engine.lifespan():
        with pytest.raises(Unsupported, match="whisper does not support 'fr'"):
            engine.open_stream(TranscriptionConfig("fr"))
