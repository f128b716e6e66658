"""The playback reference: which speech played when, by the client's reports."""

from __future__ import annotations

import numpy as np
import pytest
from orchestrator.conversation.echo.playback_reference import PlaybackReference

RATE = 24_000


def speech(*values: int) -> bytes:
    """A tenth of a second of each value."""
    return np.repeat(np.array(values, "<i2"), RATE // 10).tobytes()


def tenths(sound) -> list[int]:
    """The value in the middle of each tenth of a second."""
    return sound[RATE // 20 :: RATE // 10].tolist()


@pytest.fixture
def reference() -> PlaybackReference:
    """A reply of 0.9 s whose playback started at 10 s."""
    reference = PlaybackReference()
    reference.begin_reply(10.0)
    reference.append(speech(1, 2, 3, 4))
    reference.append(speech(5, 6, 7, 8, 9))
    return reference


def test_speech_plays_in_real_time_from_its_start(reference):
    assert tenths(reference.between(9.8, 11.0)) == [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0]


def test_between_returns_any_part(reference):
    assert tenths(reference.between(10.3, 10.6)) == [4, 5, 6]


def test_a_pause_is_silent_and_resumes_after_the_client_delay(reference):
    reference.pause(10.16)
    reference.update_position(200, 10.36)
    assert tenths(reference.between(10.0, 10.8)) == [1, 2, 0, 0, 3, 4, 5, 6]


def test_a_report_moves_the_playback_position(reference):
    reference.update_position(100, 10.3)
    assert tenths(reference.between(10.0, 10.6)) == [1, 2, 3, 2, 3, 4]


def test_a_report_within_jitter_is_ignored(reference):
    reference.update_position(270, 10.3)
    assert tenths(reference.between(10.0, 10.6)) == [1, 2, 3, 4, 5, 6]


def test_the_next_reply_starts_after_the_last(reference):
    reference.pause(10.26)
    reference.begin_reply(10.5)
    reference.append(speech(21, 22))
    reference.update_position(0, 10.5)
    assert tenths(reference.between(10.0, 10.8)) == [1, 2, 3, 0, 0, 21, 22, 0]


def test_no_reply_means_silence():
    reference = PlaybackReference()
    reference.pause(1.0)
    reference.update_position(100, 1.0)
    assert not reference.between(0.0, 2.0).any()


def test_audio_beyond_the_retention_is_dropped(reference):
    for _ in range(100):
        reference.append(speech(*range(1, 11)))
    assert not reference.between(10.0, 12.0).any()
    assert reference.between(105.0, 110.0).all()


@pytest.mark.parametrize(
    ("length_ms", "left"),
    [(0, [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]), (200, [1, 2, 3, 4, 5, 6, 7, 0, 0, 0]), (600, [1, 2, 3, 0, 0, 0, 0, 0, 0, 0])],
)
def test_retracted_speech_did_not_play(reference, length_ms, left):
    reference.retract(length_ms)
    assert tenths(reference.between(10.0, 11.0)) == left


def test_speech_after_a_retraction_follows_what_is_left(reference):
    reference.retract(500)
    reference.append(speech(21, 22))
    assert tenths(reference.between(10.0, 10.8)) == [1, 2, 3, 4, 21, 22, 0, 0]
