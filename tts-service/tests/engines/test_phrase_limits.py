"""Limits of a phrase's speech, and estimated word times."""

from __future__ import annotations

import numpy as np
import pytest
from tts_service.engine import Word
from tts_service.engines.phrase_limits import EstimatedWordTimes, PhraseLimiter, SilenceGuard, max_speech_ms
from tts_service.synthesis.watchdog import PhraseWatchdog, expected_speech_ms

RATE_HZ = 24_000
TEXT = "The sun rises in the east."
TONE = (0.1 * np.sin(np.arange(RATE_HZ) / 10)).astype(np.float32)
SILENCE = np.zeros(RATE_HZ, np.float32)


def test_phrase_is_truncated_to_the_sample_at_its_limit() -> None:
    end = PhraseLimiter(TEXT, RATE_HZ)
    allowed = int(max_speech_ms(TEXT)) * 24
    while not end.ended:
        assert end.limit_samples(TONE).size
    assert end.emitted_samples == allowed
    assert end.limit_samples(TONE).size == 0


@pytest.mark.parametrize("text", [TEXT, "Yes", "One two", "At 7 o'clock"])
def test_truncated_phrase_passes_the_watchdog_at_the_fastest_pace(text: str) -> None:
    end, watchdog = PhraseLimiter(text, RATE_HZ), PhraseWatchdog(text, 2.0, RATE_HZ)
    while not end.ended:
        watchdog.check_samples(end.limit_samples(TONE))
    watchdog.finish_phrase()


def test_silent_phrase_ends() -> None:
    end = PhraseLimiter(TEXT, RATE_HZ)
    end.limit_samples(TONE)
    assert not end.ended
    end.limit_samples(np.zeros(RATE_HZ, np.float32))
    assert not end.ended
    end.limit_samples(np.zeros(RATE_HZ, np.float32))
    assert end.ended


def test_phrase_continues_after_a_short_pause() -> None:
    end = PhraseLimiter("one two three four five six seven eight nine ten", RATE_HZ)
    for samples in (TONE, np.zeros(RATE_HZ, np.float32), TONE, np.zeros(RATE_HZ, np.float32)):
        assert end.limit_samples(samples).size == RATE_HZ
    assert not end.ended


def test_silence_is_detected_after_one_and_a_half_seconds() -> None:
    guard = SilenceGuard(RATE_HZ)
    assert not guard.push_samples(TONE)
    assert not guard.push_samples(SILENCE)
    assert guard.push_samples(SILENCE[: RATE_HZ // 2])


def test_sound_resets_the_silence() -> None:
    guard = SilenceGuard(RATE_HZ)
    assert not guard.push_samples(SILENCE)
    assert not guard.push_samples(np.concatenate([TONE, SILENCE]))
    assert not guard.push_samples(SILENCE[: RATE_HZ // 4])
    assert guard.push_samples(SILENCE)


def test_words_are_estimated_once_and_in_order() -> None:
    clock = EstimatedWordTimes("one two three", RATE_HZ)
    assert list(clock.pop_until(1)) == [Word(0, 3, 0)]
    middle = list(clock.pop_until(int(expected_speech_ms("one two three", 1.0) * 24 * 0.5)))
    assert [word.first_char for word in middle] == [4]
    later = list(clock.pop_until(10**9))
    assert [(word.first_char, word.chars) for word in later] == [(8, 5)]
    assert list(clock.pop_until(10**9)) == []
