"""Whisper's edges that need no model: what it is asked, what is made of its segments, and what is refused."""

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
from stt_service.engine import Final, LanguageSource, Segment, TranscriptionConfig, Word
from stt_service.engines.faster_whisper import Asked, FasterWhisperEngine, load_model, reading, transcribe
from stt_service.settings import SttSettings


@dataclass
class Piece:
    """A segment as the library gives it."""

    text: str
    avg_logprob: float
    tokens: list[int] = field(default_factory=lambda: [1])
    words: list[Any] | None = None
    # Where the window begins that it was heard in, in hundredths of a second.
    seek: int = 0


class Model:
    """Gives its pieces, one by one, and remembers how it was asked."""

    supported_languages = ("en", "de")

    def __init__(self, *pieces: Piece) -> None:
        self._pieces = pieces
        self.asked: dict[str, Any] = {}
        self.given = 0

    def transcribe(self, samples: np.ndarray[Any, Any], **asked: Any) -> tuple[Any, Any]:
        self.asked = asked
        return self._give(), ENGLISH

    def _give(self) -> Any:
        for piece in self._pieces:
            self.given += 1
            yield piece


SAMPLES = np.zeros(16_000, np.float32)
ENGLISH = SimpleNamespace(language="en", language_probability=0.9)


def word(text: str, start: float, end: float, probability: float = 0.5) -> SimpleNamespace:
    """A word as the library gives it, in seconds."""
    return SimpleNamespace(word=text, start=start, end=end, probability=probability)


def test_the_reading_is_as_sure_as_its_tokens() -> None:
    heard = reading([Piece(" The ferry", -0.1, [1] * 3), Piece(" leaves.", -0.5, [1])], ENGLISH)
    assert (heard.text, heard.language) == ("The ferry leaves.", "en")
    assert heard.confidence == pytest.approx(math.exp(-0.2))


@pytest.mark.parametrize("pieces", [[], [Piece("  ", -0.1)], [Piece("word", -0.1, [])]])
def test_no_words_are_an_empty_reading(pieces: list[Any]) -> None:
    heard = reading(pieces, ENGLISH)
    assert (heard.text, heard.language, heard.confidence) == ("", "", None)


def test_a_language_that_is_not_set_is_left_to_the_model() -> None:
    model = Model(Piece("hello", -0.1))
    assert transcribe(model, SAMPLES, Asked(""), threading.Event()).language == "en"
    assert (model.asked["language"], model.asked["beam_size"]) == (None, 1)
    transcribe(model, SAMPLES, Asked("de", 5), threading.Event())
    assert (model.asked["language"], model.asked["beam_size"]) == ("de", 5)


def test_words_have_their_times_and_the_language_its_probability() -> None:
    model = Model(
        Piece(
            " The ferry.", -0.1, [1, 2], [word(" The", 0.1, 0.3, 0.75), word(" ", 0.3, 0.3), word(" ferry.", 0.3, 0.9)]
        )
    )
    heard = transcribe(model, SAMPLES, Asked("", word_times=True), threading.Event())
    assert heard.words == (Word("The", 100, 300, 0.75), Word("ferry.", 300, 900, 0.5))
    assert heard.language_probability == 0.9
    assert model.asked["word_timestamps"] is True


def test_without_word_times_no_pass_is_spent_on_them() -> None:
    model = Model(Piece("word", -0.1))
    assert transcribe(model, SAMPLES, Asked("en"), threading.Event()).words == ()
    assert model.asked["word_timestamps"] is False


def test_what_comes_after_the_last_word_is_not_heard_again() -> None:
    model = Model(Piece(" The ferry.", -0.1, words=[word(" The", 0.1, 0.3)]), Piece(" Thank you.", -0.1, seek=30))
    assert transcribe(model, SAMPLES, Asked("en", word_times=True), threading.Event()).text == "The ferry."
    longer = np.zeros(16_000 * 40, np.float32)
    model = Model(
        Piece(" The ferry.", -0.1), Piece(" It leaves.", -0.1, seek=2800), Piece(" Thank you.", -0.1, seek=3900)
    )
    assert transcribe(model, longer, Asked("en", word_times=True), threading.Event()).text == "The ferry. It leaves."


async def test_only_finals_are_asked_for_word_times(ferry: bytes) -> None:
    model = Model(Piece("word", -0.1))
    engine = FasterWhisperEngine(SttSettings(), lambda *_: model)
    async with engine.lifespan():
        await engine.recognise(ferry, "", final=False)
        assert model.asked["word_timestamps"] is False
        await engine.recognise(ferry, "", final=True)
        assert model.asked["word_timestamps"] is True
    spared = FasterWhisperEngine(SttSettings(whisper_word_times=False), lambda *_: model)
    async with spared.lifespan():
        await spared.recognise(ferry, "", final=True)
        assert model.asked["word_timestamps"] is False


def test_what_is_given_up_ends_between_segments() -> None:
    given_up = threading.Event()

    class Leaving(Model):
        def _give(self) -> Any:
            for piece in super()._give():
                if self.given == 2:
                    given_up.set()
                yield piece

    model = Leaving(*[Piece("word", -0.1)] * 5)
    assert transcribe(model, SAMPLES, Asked(""), given_up).text == "word"
    assert model.given == 2
    assert transcribe(model, SAMPLES, Asked(""), given_up).text == ""
    assert model.given == 2


async def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    engine = FasterWhisperEngine(SttSettings(models_dir=tmp_path))
    with pytest.raises(InvalidRequest, match=r"it has no model.bin, config.json, tokenizer.json"):
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


class Broken(Model):
    """Transcribes what it is warmed up with, and then no more."""

    def transcribe(self, samples: np.ndarray[Any, Any], **asked: Any) -> tuple[Any, Any]:
        if self.asked:
            raise RuntimeError("CUDA failed with error out of memory")
        return super().transcribe(samples, **asked)


async def test_a_clip_becomes_a_final(ferry: bytes) -> None:
    engine = FasterWhisperEngine(SttSettings(), lambda *_: Model(Piece(" When does the ferry leave?", -0.1)))
    async with engine.lifespan(), engine.open(TranscriptionConfig()) as stream:
        segment = Segment(1, 0, 2000)
        await stream.feed(AudioChunk(0, ferry), segment)
        await stream.flush(segment)
        await stream.finish()
        (final,) = [transcript async for transcript in stream.transcripts()]
    assert isinstance(final, Final)
    assert (final.text, final.language, final.language_source) == (
        "When does the ferry leave?",
        "en",
        LanguageSource.ENGINE,
    )
    assert final.confidence == pytest.approx(math.exp(-0.1))


async def test_a_model_that_breaks_fails_the_call(ferry: bytes) -> None:
    engine = FasterWhisperEngine(SttSettings(), lambda *_: Broken())
    async with engine.lifespan():
        with pytest.raises(EngineFailed, match="out of memory"):
            await engine.recognise(ferry, "", final=True)


async def test_a_language_that_the_model_has_not_is_refused() -> None:
    engine = FasterWhisperEngine(SttSettings(), lambda *_: Model())
    async with engine.lifespan():
        with pytest.raises(Unsupported, match="whisper does not know 'fr'"):
            engine.open(TranscriptionConfig("fr"))
