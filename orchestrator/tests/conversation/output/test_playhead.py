"""The estimated playback position: real-time playback, underruns and pauses."""

from __future__ import annotations

import pytest
from orchestrator.conversation.output.playhead import Playhead


def test_position_advances_in_real_time_up_to_the_sent_speech() -> None:
    playhead = Playhead(can_pause=True)
    playhead.add_sent(300, 10.0)
    for now_s, played_ms in [(10.1, 100), (10.25, 250), (10.5, 300), (11.0, 300)]:
        playhead.advance(now_s)
        assert playhead.played_ms == pytest.approx(played_ms)


def test_nothing_plays_and_nothing_is_missing_before_the_first_frame() -> None:
    playhead = Playhead(can_pause=True)
    assert playhead.underrun_totals(20.0) == (0, 0)
    assert playhead.played_ms == 0


@pytest.mark.parametrize(("length_ms", "sent_ms", "played_ms"), [(50, 250, 200), (100, 200, 200), (250, 50, 50)])
def test_lost_speech_moves_the_position_back_to_its_start(length_ms: int, sent_ms: int, played_ms: int) -> None:
    playhead = Playhead(can_pause=True)
    playhead.add_sent(300, 10.0)
    playhead.remove_sent(length_ms, 10.2)
    assert playhead.sent_ms == sent_ms
    assert playhead.played_ms == pytest.approx(played_ms)
    assert playhead.underruns == 0


def test_gap_at_the_end_counts_until_the_audio_is_complete() -> None:
    playhead = Playhead(can_pause=True)
    playhead.add_sent(100, 10.0)
    playhead.advance(10.4)
    assert playhead.underrun_totals(None) == (0, 0)
    underruns, underrun_ms = playhead.underrun_totals(10.5)
    assert (underruns, underrun_ms) == (1, pytest.approx(400))


def test_late_frame_counts_as_an_underrun() -> None:
    playhead = Playhead(can_pause=True)
    playhead.add_sent(100, 10.0)
    playhead.add_sent(100, 10.1)
    assert (playhead.underruns, playhead.played_ms) == (0, pytest.approx(100))
    playhead.add_sent(100, 10.5)
    assert playhead.underruns == 1
    assert playhead.underrun_ms == pytest.approx(300)
    assert playhead.played_ms == pytest.approx(200)


def test_inaudible_gap_is_no_underrun() -> None:
    playhead = Playhead(can_pause=True)
    playhead.add_sent(100, 10.0)
    playhead.add_sent(100, 10.115)
    assert playhead.underruns == 0


@pytest.mark.parametrize(("can_pause", "played_ms"), [(True, 100), (False, 200)])
def test_pause_is_no_underrun(can_pause: bool, played_ms: float) -> None:
    playhead = Playhead(can_pause)
    playhead.add_sent(200, 10.0)
    playhead.pause(10.1)
    playhead.advance(15.0)
    assert playhead.played_ms == pytest.approx(played_ms)
    playhead.resume(15.0)
    playhead.add_sent(100, 15.0)
    assert playhead.underruns == 0
