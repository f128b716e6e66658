"""Where speech of a phrase is ended that does not end by itself."""

from __future__ import annotations

import numpy as np
import pytest
from tts_service.engines.phrase_limits import PhraseLimiter, max_speech_ms
from tts_service.synthesis.watchdog import PhraseWatchdog

RATE_HZ = 24_000
TEXT = "The sun rises in the east."
TONE = (0.1 * np.sin(np.arange(RATE_HZ) / 10)).astype(np.float32)


def test_a_phrase_is_cut_to_the_sample_where_its_text_allows_no_more() -> None:
    end = PhraseLimiter(TEXT, RATE_HZ)
    allowed = int(max_speech_ms(TEXT)) * 24
    while not end.ended:
        assert end.limit_samples(TONE).size
    assert end.emitted_samples == allowed
    assert end.limit_samples(TONE).size == 0


@pytest.mark.parametrize("text", [TEXT, "Yes", "One two", "At 7 o'clock"])
def test_a_phrase_that_was_cut_is_borne_by_its_reply_at_the_fastest_pace(text: str) -> None:
    end, watchdog = PhraseLimiter(text, RATE_HZ), PhraseWatchdog(text, 2.0, RATE_HZ)
    while not end.ended:
        watchdog.check_samples(end.limit_samples(TONE))
    watchdog.finish_phrase()


def test_a_phrase_that_fell_silent_is_over() -> None:
    end = PhraseLimiter(TEXT, RATE_HZ)
    end.limit_samples(TONE)
    assert not end.ended
    end.limit_samples(np.zeros(RATE_HZ, np.float32))
    assert not end.ended
    end.limit_samples(np.zeros(RATE_HZ, np.float32))
    assert end.ended


def test_a_phrase_that_pauses_goes_on() -> None:
    end = PhraseLimiter("one two three four five six seven eight nine ten", RATE_HZ)
    for samples in (TONE, np.zeros(RATE_HZ, np.float32), TONE, np.zeros(RATE_HZ, np.float32)):
        assert end.limit_samples(samples).size == RATE_HZ
    assert not end.ended
