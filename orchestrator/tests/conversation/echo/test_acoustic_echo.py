"""Acoustic echo detection at any delay and level; other speakers are no echo."""

from __future__ import annotations

import time

import numpy as np
import pytest
from orchestrator.conversation.echo.acoustic_echo import EARLIEST_MS, LATEST_MS, AcousticEcho, bands_of
from speech_signals import delayed, speech_like, with_room_noise

SECONDS = 6.0
ANCHOR = speech_like(1, SECONDS)
ANCHOR_16_KHZ = speech_like(1, SECONDS, 16_000)
USER = speech_like(2, SECONDS, 16_000)
SILENCE = np.zeros(len(USER))
HELD_MS = 2_000


def far_end(end_ms: int):
    """The playback around the `HELD_MS` before `end_ms`."""
    padded = np.concatenate([np.zeros(24 * LATEST_MS, np.int16), ANCHOR, np.zeros(24 * 1_000, np.int16)])
    start = max(0, end_ms - HELD_MS) * 24
    return padded[start : end_ms * 24 + 24 * (LATEST_MS - EARLIEST_MS)]


def near_end(microphone, end_ms: int):
    return microphone[max(0, end_ms - HELD_MS) * 16 : end_ms * 16]


def compare(echo, microphone, end_ms: int = 3_000, asked_ms: int = 500):
    return echo.estimate(near_end(microphone, end_ms), far_end(end_ms), asked_ms)


@pytest.mark.parametrize("by_ms", [-80, 0, 90, 300, 550])
@pytest.mark.parametrize("gain_db", [0, -20, -40])
def test_echo_is_far_end_at_any_delay_and_level(by_ms, gain_db):
    echo_estimate = compare(AcousticEcho(), with_room_noise(delayed(ANCHOR_16_KHZ, by_ms, gain_db)), asked_ms=1_000)
    assert echo_estimate is not None
    assert echo_estimate.near_end_ms <= 40
    assert echo_estimate.far_end_ms >= 100


def test_echo_of_a_small_loudspeaker_in_a_reverberant_room_is_far_end():
    draw = np.random.default_rng(3)
    ringing = draw.standard_normal(4_800) * np.exp(-np.arange(4_800) / 700) * 0.1
    ringing[0] = 1
    thin = np.diff(ANCHOR_16_KHZ.astype(float), prepend=0)
    echo_estimate = compare(AcousticEcho(), with_room_noise(delayed(np.convolve(thin, ringing)[: len(thin)], 120, -15)))
    assert echo_estimate is not None
    assert echo_estimate.near_end_ms <= 60


@pytest.mark.parametrize("end_ms", range(1_000, 6_000, 500))
def test_another_speaker_is_no_echo(end_ms):
    assert compare(AcousticEcho(), with_room_noise(USER.astype(float)), end_ms) is None


def test_room_noise_is_no_echo():
    assert compare(AcousticEcho(), with_room_noise(SILENCE)) is None


def test_short_or_silent_audio_has_no_estimate():
    echo = AcousticEcho()
    assert echo.estimate(ANCHOR_16_KHZ[:1_600], ANCHOR[: 24 * 800], 100) is None
    assert echo.estimate(ANCHOR_16_KHZ[:32_000], np.zeros(24 * 2_700, np.int16), 500) is None
    assert len(bands_of(ANCHOR_16_KHZ[:100], 16_000)) == 0


@pytest.mark.parametrize("gain_db", [-10, -20, -30])
def test_speaker_over_an_echo_is_near_end(gain_db):
    echo = AcousticEcho()
    over = np.where(np.arange(len(USER)) >= 3_000 * 16, USER, 0)
    microphone = with_room_noise(delayed(ANCHOR_16_KHZ, 100, gain_db) + over)
    before = compare(echo, microphone, 3_000)
    assert before is not None
    assert before.near_end_ms <= 40
    after = compare(echo, microphone, 3_500)
    assert after is not None
    assert after.near_end_ms >= 180


def test_sound_while_playback_is_paused_is_near_end():
    echo = AcousticEcho()
    assert compare(echo, with_room_noise(delayed(ANCHOR_16_KHZ, 100, -10))) is not None
    held = np.where(np.arange(24 * (HELD_MS + LATEST_MS - EARLIEST_MS)) < 24 * 1_600, far_end(3_000), 0)
    microphone = np.where(np.arange(HELD_MS * 16) >= 16 * 1_500, near_end(USER, 3_000), 0).astype(float)
    echo_estimate = echo.estimate(with_room_noise(microphone), held.astype(np.int16), 400)
    assert echo_estimate is None or echo_estimate.near_end_ms >= 200


def test_echo_path_is_dropped_when_the_echo_vanishes():
    echo = AcousticEcho()
    assert compare(echo, with_room_noise(delayed(ANCHOR_16_KHZ, 100, -10))) is not None
    assert compare(echo, with_room_noise(SILENCE), 5_000) is None
    assert compare(echo, with_room_noise(USER.astype(float)), 5_500) is None


def test_echo_path_follows_a_new_delay():
    echo = AcousticEcho()
    assert compare(echo, with_room_noise(delayed(ANCHOR_16_KHZ, 60, -20))) is not None
    echo_estimate = compare(echo, with_room_noise(delayed(ANCHOR_16_KHZ, 400, -5)), 5_000)
    assert echo_estimate is not None
    assert echo_estimate.near_end_ms <= 40


def test_estimate_takes_milliseconds():
    echo = AcousticEcho()
    microphone = with_room_noise(delayed(ANCHOR_16_KHZ, 100, -10))
    compare(echo, microphone)
    began_s = time.process_time()
    for _ in range(10):
        compare(echo, microphone)
    # Five estimates a second at 2 ms each: 1 % of a core, during speech over a reply.
    assert time.process_time() - began_s < 0.1
