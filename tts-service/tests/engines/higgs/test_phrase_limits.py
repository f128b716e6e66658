"""What ends speech that runs away, and where words are thought to begin."""

from __future__ import annotations

import numpy as np
import pytest
from tts_service.engine import Word
from tts_service.engines.higgs.phrase_limits import RepeatGuard, max_phrase_frames
from tts_service.engines.phrase_limits import EstimatedWordTimes, SilenceGuard
from tts_service.synthesis.watchdog import MAX_TIMES_EXPECTED, expected_speech_ms

RATE_HZ = 24_000
TONE = (0.1 * np.sin(np.arange(RATE_HZ) / 10)).astype(np.float32)
SILENCE = np.zeros(RATE_HZ, np.float32)


@pytest.mark.parametrize(
    "text", ["Yes.", "The sun rises in the east and sets in the west.", "It is 17:45 on 3 May 2026."]
)
def test_the_cap_leaves_room_to_speak_and_comes_before_the_reply_would_fail(text: str) -> None:
    assert (
        1.4 * expected_speech_ms(text, 1.0)
        < max_phrase_frames(text) * 40
        < MAX_TIMES_EXPECTED * expected_speech_ms(text, 1.0)
    )


def test_a_second_of_one_frame_is_too_much() -> None:
    guard = RepeatGuard()
    assert not any(guard.push_frame(np.full(8, 5)) for _ in range(24))
    assert guard.push_frame(np.full(8, 5))
    assert not guard.push_frame(np.full(8, 6))


def test_frames_that_alternate_are_no_repetition() -> None:
    guard = RepeatGuard()
    assert not any(guard.push_frame(np.full(8, number % 2)) for number in range(100))


def test_silence_is_over_after_a_second_and_a_half_of_it() -> None:
    guard = SilenceGuard(RATE_HZ)
    assert not guard.push_samples(TONE)
    assert not guard.push_samples(SILENCE)
    assert guard.push_samples(SILENCE[: RATE_HZ // 2])


def test_sound_starts_the_wait_anew() -> None:
    guard = SilenceGuard(RATE_HZ)
    assert not guard.push_samples(SILENCE)
    assert not guard.push_samples(np.concatenate([TONE, SILENCE]))
    assert not guard.push_samples(SILENCE[: RATE_HZ // 4])
    assert guard.push_samples(SILENCE)


def test_words_are_told_once_and_in_time() -> None:
    clock = EstimatedWordTimes("one two three", RATE_HZ)
    assert list(clock.pop_until(1)) == [Word(0, 3, 0)]
    middle = list(clock.pop_until(int(expected_speech_ms("one two three", 1.0) * 24 * 0.5)))
    assert [word.first_char for word in middle] == [4]
    later = list(clock.pop_until(10**9))
    assert [(word.first_char, word.chars) for word in later] == [(8, 5)]
    assert list(clock.pop_until(10**9)) == []
