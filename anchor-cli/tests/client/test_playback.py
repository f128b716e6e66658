"""The client's speaker, with simulated time."""

from __future__ import annotations

from anchor_cli.client.playback import Speaker
from service_kit.audio import SPEECH

SECOND = bytes(SPEECH.bytes_for(1000))


def test_playback_is_real_time_and_bounded_by_received_audio() -> None:
    speaker = Speaker()
    assert speaker.progress(9.0) is None
    speaker.start_audio(1, 0, 10.0)
    speaker.receive_frame(SECOND, 10.0)
    assert speaker.progress(10.4) == (1, 400)
    assert speaker.progress(12.0) == (1, 1000)
    # Late audio plays from its arrival.
    speaker.receive_frame(SECOND, 12.0)
    assert speaker.progress(12.5) == (1, 1500)


def test_pause_holds_and_resume_continues() -> None:
    speaker = Speaker()
    speaker.start_audio(1, 0, 0.0)
    speaker.receive_frame(SECOND, 0.0)
    speaker.pause(0.2)
    assert speaker.progress(5.0) == (1, 200)
    speaker.resume(5.0)
    assert speaker.progress(5.3) == (1, 500)


def test_stopped_reply_plays_no_more_audio() -> None:
    speaker = Speaker()
    speaker.start_audio(1, 0, 0.0)
    speaker.receive_frame(SECOND, 0.0)
    speaker.stop(1, 0.25)
    speaker.receive_frame(SECOND, 0.3)
    assert speaker.progress(3.0) == (1, 250)
    assert speaker.reply(1).received_ms == 1000
    assert speaker.reply(1).stopped


def test_next_reply_starts_at_zero() -> None:
    speaker = Speaker()
    speaker.start_audio(1, 0, 0.0)
    speaker.receive_frame(SECOND, 0.0)
    speaker.pause(0.5)
    speaker.start_audio(2, 0, 1.0)
    speaker.receive_frame(SECOND, 1.0)
    assert speaker.progress(1.1) == (2, 100)
    assert int(speaker.reply(1).played_ms) == 500


def test_gap_in_offsets_is_filled_with_silence() -> None:
    speaker = Speaker()
    speaker.start_audio(1, 0, 0.0)
    speaker.receive_frame(b"\1\0", 0.0)
    speaker.start_audio(1, 500, 0.0)
    speaker.receive_frame(b"\2\0", 0.0)
    assert bytes(speaker.reply(1).pcm) == b"\1\0" + bytes(SPEECH.bytes_for(500) - 2) + b"\2\0"


def test_frame_without_reply_is_dropped() -> None:
    speaker = Speaker()
    speaker.receive_frame(SECOND, 0.0)
    assert speaker.replies == {}


def test_second_reply_to_a_turn_plays_after_the_first_was_stopped() -> None:
    speaker = Speaker()
    speaker.start_reply(1)
    speaker.start_audio(1, 0, 0.0)
    speaker.receive_frame(SECOND, 0.0)
    speaker.stop(1, 0.1)
    speaker.start_reply(1)
    speaker.start_audio(1, 0, 1.0)
    speaker.receive_frame(SECOND, 1.0)
    assert speaker.progress(1.5) == (1, 500)
    assert speaker.reply(1).received_ms == 1000


def test_playback_begins_after_the_output_delay() -> None:
    speaker = Speaker(output_delay_s=0.3)
    speaker.start_audio(1, 0, 1.0)
    speaker.receive_frame(SECOND, 1.0)
    assert speaker.progress(1.2) == (1, 0)
    assert speaker.progress(1.5) == (1, 200)
    speaker.receive_frame(SECOND, 1.6)
    assert speaker.progress(1.9) == (1, 600)
