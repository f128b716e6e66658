"""What has sounded when, as far as a client tells."""

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
def sounded() -> PlaybackReference:
    """A reply of nine tenths of a second that began to sound at 10 s."""
    sounded = PlaybackReference()
    sounded.begin(10.0)
    sounded.send(speech(1, 2, 3, 4))
    sounded.send(speech(5, 6, 7, 8, 9))
    return sounded


def test_speech_sounds_from_its_beginning_on_in_real_time(sounded):
    assert tenths(sounded.between(9.8, 11.0)) == [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0]


def test_any_part_of_it_can_be_looked_at(sounded):
    assert tenths(sounded.between(10.3, 10.6)) == [4, 5, 6]


def test_what_is_held_is_silent_and_goes_on_where_it_was_as_soon_as_the_client_obeys(sounded):
    sounded.hold(10.16)
    sounded.play(200, 10.36)
    assert tenths(sounded.between(10.0, 10.8)) == [1, 2, 0, 0, 3, 4, 5, 6]


def test_a_report_moves_the_ear(sounded):
    sounded.play(100, 10.3)
    assert tenths(sounded.between(10.0, 10.6)) == [1, 2, 3, 2, 3, 4]


def test_one_that_is_off_by_a_jitter_does_not(sounded):
    sounded.play(270, 10.3)
    assert tenths(sounded.between(10.0, 10.6)) == [1, 2, 3, 4, 5, 6]


def test_the_next_reply_begins_behind_the_last(sounded):
    sounded.hold(10.26)
    sounded.begin(10.5)
    sounded.send(speech(21, 22))
    sounded.play(0, 10.5)
    assert tenths(sounded.between(10.0, 10.8)) == [1, 2, 3, 0, 0, 21, 22, 0]


def test_before_any_reply_there_is_silence():
    sounded = PlaybackReference()
    sounded.hold(1.0)
    sounded.play(100, 1.0)
    assert not sounded.between(0.0, 2.0).any()


def test_only_the_last_seconds_are_kept(sounded):
    for _ in range(100):
        sounded.send(speech(*range(1, 11)))
    assert not sounded.between(10.0, 12.0).any()
    assert sounded.between(105.0, 110.0).all()
