"""Numbering of segments and revisions."""

from __future__ import annotations

import pytest
from service_kit.audio import AudioChunk
from service_kit.errors import InvalidRequest
from stt_service.engine import FinalTranscript, Segment
from stt_service.segments import SegmentCounter

SECOND = bytes(32_000)


def test_a_segment_spans_its_audio_including_gaps() -> None:
    segments = SegmentCounter(max_ms=60_000)
    assert segments.add_audio(AudioChunk(500, SECOND)) == Segment(1, 500, 1500)
    assert segments.add_audio(AudioChunk(4000, SECOND)) == Segment(1, 500, 5000)
    assert segments.commit_segment(1) == Segment(1, 500, 5000)
    assert segments.require_open(2) == Segment(2, 5000, 5000)
    assert segments.add_audio(AudioChunk(9000, SECOND)) == Segment(2, 9000, 10_000)


def test_only_the_open_segment_can_be_flushed_and_committed() -> None:
    segments = SegmentCounter(max_ms=60_000)
    for method in (segments.require_open, segments.commit_segment):
        with pytest.raises(InvalidRequest, match="segment 1 is open"):
            method(2)


def test_a_segment_over_the_maximum_length_is_refused() -> None:
    segments = SegmentCounter(max_ms=2500)
    segments.add_audio(AudioChunk(0, SECOND))
    segments.add_audio(AudioChunk(1000, SECOND))
    with pytest.raises(InvalidRequest) as refusal:
        segments.add_audio(AudioChunk(2000, SECOND))
    assert refusal.value.code == "stt.segment_too_long"


def test_revisions_count_the_finals_of_a_segment() -> None:
    segments = SegmentCounter(max_ms=1)
    finals = [FinalTranscript(Segment(number), "") for number in (1, 1, 2, 4, 4)]
    assert [segments.next_revision(final) for final in finals] == [1, 2, 1, 1, 2]
