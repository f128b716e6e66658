"""When Whisper says that each word was said: real alignment, on a model of random weights, which says noise.

Its texts are loops that nobody would believe, so what is tested is what the engine makes of a clip, before that.
"""

from __future__ import annotations

from microphone import speech
from stt_service.engines.whisper.engine import WhisperEngine
from stt_service.retranscribing.recogniser import ClipTranscript
from stt_service.settings import SttSettings
from test_whisper import models_dir, settings  # noqa: F401  (fixtures)


async def heard(settings: SttSettings, pcm: bytes, *, final: bool = True) -> ClipTranscript:  # noqa: F811
    """What the engine makes of a clip."""
    engine = WhisperEngine(settings)
    async with engine.lifespan():
        return await engine.transcribe_clip(pcm, "", final=final)


async def test_the_words_of_a_final_are_its_text_in_order(settings: SttSettings) -> None:  # noqa: F811
    reading = await heard(settings, speech(2))
    assert "".join(word.text for word in reading.words) == "".join(reading.text.split())
    assert reading.words
    starts = [word.start_ms for word in reading.words]
    assert starts == sorted(starts)
    # A window is 30 s long, and a model of random weights may point behind the clip's end.
    assert all(0 <= word.start_ms <= word.end_ms <= 30_000 for word in reading.words)
    assert all(word.confidence is not None and 0 <= word.confidence <= 1 for word in reading.words)
    # CTranslate2 takes a model of so few tokens for an English one, which detects no language.
    assert (reading.language, reading.language_probability) == ("en", None)


async def test_partials_have_no_words_and_spend_nothing_on_them(settings: SttSettings) -> None:  # noqa: F811
    reading = await heard(settings, speech(2), final=False)
    assert reading.text
    assert reading.words == ()


async def test_word_times_change_nothing_about_the_text(settings: SttSettings) -> None:  # noqa: F811
    with_times = await heard(settings, speech(2))
    without = await heard(settings.model_copy(update={"whisper_word_times": False}), speech(2))
    assert (without.text, without.words) == (with_times.text, ())
    assert without.confidence == with_times.confidence
