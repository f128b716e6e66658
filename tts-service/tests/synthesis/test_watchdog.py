from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from service_kit.errors import EngineFailed
from tts_service.synthesis.watchdog import PhraseWatchdog, expected_speech_ms

RATE_HZ = 24_000
CEILING = 10 ** (-1 / 20)


def tone(ms: float, loudness: float = 0.3) -> NDArray[np.float32]:
    return (loudness * np.sin(np.arange(int(ms * RATE_HZ / 1000)) * 0.06)).astype(np.float32)


@pytest.fixture
def watchdog() -> PhraseWatchdog:
    return PhraseWatchdog("Good evening, everybody.", 1.0, RATE_HZ)


def test_good_speech_is_unchanged(watchdog: PhraseWatchdog) -> None:
    speech = tone(500)
    assert np.array_equal(watchdog.check_samples(speech), speech)
    watchdog.finish_phrase()
    assert not watchdog.repairs


def test_few_non_finite_samples_become_silence(watchdog: PhraseWatchdog) -> None:
    speech = tone(100)
    speech[10:20] = np.nan
    speech[30] = np.inf
    mended = watchdog.check_samples(speech)
    assert np.isfinite(mended).all()
    assert not mended[10:20].any()
    assert watchdog.repairs["not_finite"] == 1


def test_many_non_finite_samples_fail_the_phrase(watchdog: PhraseWatchdog) -> None:
    with pytest.raises(EngineFailed, match="garbage"):
        watchdog.check_samples(np.full(RATE_HZ // 10, np.nan, np.float32))


def test_loud_speech_is_limited_to_minus_one_decibel(watchdog: PhraseWatchdog) -> None:
    limited = watchdog.check_samples(tone(100, 0.98))
    assert 0.85 < np.abs(limited).max() <= CEILING
    assert watchdog.repairs["too_loud"] == 1


def test_speech_at_full_scale_is_garbage(watchdog: PhraseWatchdog) -> None:
    watchdog.check_samples(np.full(RATE_HZ // 10, 8.0, np.float32))
    with pytest.raises(EngineFailed, match="garbage"):
        watchdog.check_samples(np.full(RATE_HZ // 5, 8.0, np.float32))


def test_long_silence_is_shortened_and_counted(watchdog: PhraseWatchdog) -> None:
    pieces = [tone(100), *[np.zeros(2400, np.float32)] * 25, tone(100)]
    kept_ms = sum(watchdog.check_samples(piece).size for piece in pieces) * 1000 / RATE_HZ
    assert kept_ms == pytest.approx(2200, abs=2)
    assert watchdog.dropped_samples == pytest.approx(500 * RATE_HZ / 1000, abs=24)
    assert watchdog.repairs["long_silence"] > 0


@pytest.mark.parametrize("sound", [np.zeros(2400, np.float32), np.full(2400, 0.5, np.float32)])
def test_endless_speech_fails_at_three_times_its_duration(watchdog: PhraseWatchdog, sound: NDArray[np.float32]) -> None:
    kept = 0
    failure: EngineFailed | None = None
    while failure is None:
        try:
            kept += watchdog.check_samples(sound).size
        except EngineFailed as error:
            failure = error
    assert failure.code == "tts.endless"
    assert kept * 1000 / RATE_HZ <= 3 * expected_speech_ms("Good evening, everybody.", 1.0)


def test_phrase_of_silence_is_no_audio(watchdog: PhraseWatchdog) -> None:
    watchdog.check_samples(np.zeros(1000, np.float32))
    with pytest.raises(EngineFailed) as failure:
        watchdog.finish_phrase()
    assert failure.value.code == "tts.no_audio"


def test_click_between_chunks_is_smoothed(watchdog: PhraseWatchdog) -> None:
    first = watchdog.check_samples(np.full(1000, 0.5, np.float32))
    second = watchdog.check_samples(np.full(1000, -0.5, np.float32))
    joined = np.concatenate((first, second))
    assert np.abs(np.diff(joined)).max() < 0.05
    assert second[-1] == -0.5
    assert watchdog.repairs["click"] == 1


@pytest.mark.parametrize("speech", [np.zeros((2, 100), np.float32), np.zeros(100, np.int16), np.zeros(100)])
def test_samples_that_are_not_float32_rows_are_garbage(watchdog: PhraseWatchdog, speech: NDArray[np.float32]) -> None:
    with pytest.raises(EngineFailed) as failure:
        watchdog.check_samples(speech)
    assert failure.value.code == "tts.garbage"


def test_empty_chunk_passes(watchdog: PhraseWatchdog) -> None:
    assert watchdog.check_samples(np.zeros(0, np.float32)).size == 0


def test_digits_capitals_and_pace_change_the_expected_duration() -> None:
    assert expected_speech_ms("123", 1.0) > expected_speech_ms("abc", 1.0)
    assert expected_speech_ms("NATO", 1.0) > expected_speech_ms("nato", 1.0)
    assert expected_speech_ms("nato", 0.5) == 2 * expected_speech_ms("nato", 1.0)


@pytest.mark.parametrize(
    ("text", "spoken_ms"),
    [
        # Read at 4 to 5 syllables a second.
        ("今天天气很好我们去公园走走吧", 14 * 220),
        ("오늘은 날씨가 좋아서 공원에 갑니다", 15 * 220),
        ("Today the weather is fine, so we walk to the park.", 3500),
    ],
)
def test_a_calm_speakers_time_is_between_half_and_twice_the_expected(text: str, spoken_ms: int) -> None:
    assert expected_speech_ms(text, 1.0) / 2 < spoken_ms < expected_speech_ms(text, 1.0)


def test_a_syllable_takes_a_quarter_of_a_second() -> None:
    for syllable in ("好", "가", "\U00020000"):
        assert expected_speech_ms(10 * syllable, 1.0) - expected_speech_ms("", 1.0) == 2500
    assert expected_speech_ms("10 letters", 1.0) == expected_speech_ms("xy letters", 1.0) + 2 * 7 * 75
