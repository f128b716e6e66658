"""The utterance buffer: gaps, voice activity, splitting, and the mapping to the audio clock."""

from __future__ import annotations

import numpy as np
import pytest
from service_kit.audio import AudioChunk
from stt_service.retranscribing.utterance import MAX_PAUSE_MS, Utterance
from synthetic_speech import voice


def test_a_gap_becomes_silence_of_limited_length() -> None:
    utterance = Utterance()
    utterance.append(AudioChunk(0, voice(1000)))
    utterance.append(AudioChunk(1200, voice(1000)))
    assert utterance.duration_ms == 2200
    utterance.append(AudioChunk(9200, voice(1000)))
    assert utterance.duration_ms == 3500


def test_an_utterance_is_split_at_its_quietest_frame() -> None:
    utterance = Utterance()
    utterance.append(AudioChunk(0, voice(2000)))
    utterance.append(AudioChunk(2000, voice(100) + bytes(3200) + voice(500)))
    whole = utterance.pcm
    rest = utterance.split_at_quietest()
    assert utterance.pcm + rest.pcm == whole
    assert 0 < rest.duration_ms < 3000
    assert utterance.pcm[-2:] == b"\x00\x00"


@pytest.mark.parametrize("amplitude", [3, 300, 3000])
def test_steady_noise_is_not_voiced(amplitude: int) -> None:
    utterance = Utterance()
    noise = np.random.default_rng(1).standard_normal(32_000) * amplitude
    utterance.append(AudioChunk(0, noise.astype("<i2").tobytes()))
    assert utterance.voiced_ms == 0
    utterance.append(AudioChunk(2000, (noise[:8000].astype("<i2") + np.frombuffer(voice(500), "<i2")).tobytes()))
    assert utterance.voiced_ms > 150


def test_an_empty_utterance_is_not_voiced() -> None:
    assert Utterance().voiced_ms == 0


def test_the_audio_clock_starts_at_the_first_sample() -> None:
    utterance = Utterance()
    utterance.append(AudioChunk(7000, voice(500)))
    utterance.append(AudioChunk(7500, voice(500)))
    assert [utterance.to_clock_ms(ms) for ms in (0, 499, 500, 1000)] == [7000, 7499, 7500, 8000]


def test_after_a_gap_the_clock_continues_with_the_audio() -> None:
    utterance = Utterance()
    utterance.append(AudioChunk(1000, voice(400)))
    utterance.append(AudioChunk(9000, voice(400)))
    assert utterance.to_clock_ms(400) == 1400
    # The gap is shortened, and no time in it is beyond its end.
    assert utterance.to_clock_ms(400 + MAX_PAUSE_MS - 1) == 1400 + MAX_PAUSE_MS - 1
    assert utterance.to_clock_ms(400 + MAX_PAUSE_MS) == 9000
    assert utterance.to_clock_ms(400 + MAX_PAUSE_MS + 250) == 9250


def test_the_rest_of_a_split_utterance_keeps_its_clock() -> None:
    utterance = Utterance()
    utterance.append(AudioChunk(0, voice(1000)))
    utterance.append(AudioChunk(5000, voice(600) + bytes(3200) + voice(400)))
    utterance.append(AudioChunk(8000, voice(300)))
    whole_ms = utterance.duration_ms
    before = utterance.to_clock_ms(whole_ms - 100)
    rest = utterance.split_at_quietest()
    assert rest.to_clock_ms(0) == utterance.to_clock_ms(utterance.duration_ms)
    assert rest.to_clock_ms(rest.duration_ms - 100) == before == 8200


def test_rounded_timestamps_are_not_gaps() -> None:
    utterance = Utterance()
    for number in range(100):
        # 10.0625 ms each.
        utterance.append(AudioChunk(round(number * 10.0625), voice(11)[:322]))
    assert utterance.to_clock_ms(utterance.duration_ms) == pytest.approx(1006, abs=2)


def test_empty_chunks_take_no_memory_and_the_last_timestamp_wins() -> None:
    utterance = Utterance()
    utterance.append(AudioChunk(50_000, voice(100)))
    for number in range(1000):
        utterance.append(AudioChunk(40_000 - 10 * number, b""))
    utterance.append(AudioChunk(30_010, voice(100)))
    assert len(utterance._clock) == 2
    assert [utterance.to_clock_ms(ms) for ms in (50, 150)] == [50_050, 30_060]
