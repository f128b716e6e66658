"""Frame limits of higgs, and detection of repeated frames."""

from __future__ import annotations

import numpy as np
import pytest
from tts_service.engines.higgs.phrase_limits import FRAME_MS, RepeatGuard, max_phrase_frames
from tts_service.synthesis.watchdog import MAX_TIMES_EXPECTED, expected_speech_ms

TEXT = "and this is what happened then"


@pytest.mark.parametrize(
    "text", ["Yes.", "The sun rises in the east and sets in the west.", "It is 17:45 on 3 May 2026."]
)
def test_frame_limit_is_between_expected_and_watchdog_limit(text: str) -> None:
    assert (
        1.4 * expected_speech_ms(text, 1.0)
        < max_phrase_frames(text) * 40
        < MAX_TIMES_EXPECTED * expected_speech_ms(text, 1.0)
    )


def test_one_second_of_equal_frames_is_detected() -> None:
    guard = RepeatGuard()
    assert not any(guard.push_frame(np.full(8, 5)) for _ in range(24))
    assert guard.push_frame(np.full(8, 5))
    assert not guard.push_frame(np.full(8, 6))


def test_alternating_frames_are_not_repetition() -> None:
    guard = RepeatGuard()
    assert not any(guard.push_frame(np.full(8, number % 2)) for number in range(100))


def test_slow_pace_raises_the_frame_limit_below_the_watchdog_limit() -> None:
    assert max_phrase_frames(TEXT, 0.5) == pytest.approx(2 * max_phrase_frames(TEXT), abs=1)
    for pace in (0.5, 1.0, 1.5, 2.0):
        assert max_phrase_frames(TEXT, pace) * FRAME_MS <= MAX_TIMES_EXPECTED * expected_speech_ms(TEXT, pace)
    assert max_phrase_frames(TEXT, 1.5) == max_phrase_frames(TEXT)
