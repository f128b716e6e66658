"""The speaker of the client, on a clock of the test's own."""

from __future__ import annotations

from anchor_cli.client.playback import Speaker
from service_kit.audio import SPEECH

SECOND = bytes(SPEECH.bytes_for(1000))


def test_sound_is_played_at_the_pace_of_time_and_no_further_than_it_came() -> None:
    speaker = Speaker()
    assert speaker.progress(9.0) is None
    speaker.start_audio(1, 0, 10.0)
    speaker.receive_frame(SECOND, 10.0)
    assert speaker.progress(10.4) == (1, 400)
    assert speaker.progress(12.0) == (1, 1000)
    # What came late is played from when it came.
    speaker.receive_frame(SECOND, 12.0)
    assert speaker.progress(12.5) == (1, 1500)


def test_a_pause_holds_and_a_resume_goes_on() -> None:
    speaker = Speaker()
    speaker.start_audio(1, 0, 0.0)
    speaker.receive_frame(SECOND, 0.0)
    speaker.pause(0.2)
    assert speaker.progress(5.0) == (1, 200)
    speaker.resume(5.0)
    assert speaker.progress(5.3) == (1, 500)


def test_after_a_stop_nothing_more_of_that_reply_sounds() -> None:
    speaker = Speaker()
    speaker.start_audio(1, 0, 0.0)
    speaker.receive_frame(SECOND, 0.0)
    speaker.stop(1, 0.25)
    speaker.receive_frame(SECOND, 0.3)
    assert speaker.progress(3.0) == (1, 250)
    assert speaker.reply(1).received_ms == 1000
    assert speaker.reply(1).stopped


def test_the_next_reply_begins_at_its_own_start() -> None:
    speaker = Speaker()
    speaker.start_audio(1, 0, 0.0)
    speaker.receive_frame(SECOND, 0.0)
    speaker.pause(0.5)
    speaker.start_audio(2, 0, 1.0)
    speaker.receive_frame(SECOND, 1.0)
    assert speaker.progress(1.1) == (2, 100)
    assert int(speaker.reply(1).played_ms) == 500


def test_a_jump_leaves_silence_between() -> None:
    speaker = Speaker()
    speaker.start_audio(1, 0, 0.0)
    speaker.receive_frame(b"\1\0", 0.0)
    speaker.start_audio(1, 500, 0.0)
    speaker.receive_frame(b"\2\0", 0.0)
    assert bytes(speaker.reply(1).pcm) == b"\1\0" + bytes(SPEECH.bytes_for(500) - 2) + b"\2\0"


def test_a_frame_that_belongs_to_no_reply_is_dropped() -> None:
    speaker = Speaker()
    speaker.receive_frame(SECOND, 0.0)
    assert speaker.replies == {}
