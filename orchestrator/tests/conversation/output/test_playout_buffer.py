"""The playout buffer: synthesised and unsent speech."""

from __future__ import annotations

import pytest
from orchestrator.conversation.messages.server import SpeechMark
from orchestrator.conversation.output.playout_buffer import PlayoutBuffer
from service_kit.audio import SPEECH


def speech(length_ms: float, value: int = 1) -> bytes:
    return bytes([value]) * SPEECH.bytes_for(length_ms)


def frames_of(buffer: PlayoutBuffer) -> list[float]:
    """The lengths of all frames, in milliseconds, in order."""
    lengths = []
    while buffer:
        lengths.append(SPEECH.ms_of(len(buffer.pop_frame())))
    return lengths


@pytest.fixture
def buffer() -> PlayoutBuffer:
    """250 ms in frames of 100 ms, with a mark every 100 ms."""
    buffer = PlayoutBuffer()
    buffer.append(speech(250), SPEECH.bytes_for(100))
    for start in (0, 100, 200):
        buffer.add_mark(SpeechMark(1, start, start + 1, start))
    return buffer


def test_speech_is_split_into_frames(buffer):
    assert buffer.synthesised_ms == 250
    assert buffer.next_ms == 100
    assert frames_of(buffer) == [100, 100, 50]


def test_prepended_frames_leave_first_and_in_order(buffer):
    sent = [buffer.pop_frame(), buffer.pop_frame()]
    buffer.prepend(sent)
    assert frames_of(buffer) == [100, 100, 50]
    assert buffer.synthesised_ms == 250


def test_marks_leave_once_before_their_audio(buffer):
    assert [mark.offset_ms for mark in buffer.pop_marks(100)] == [0]
    assert [mark.offset_ms for mark in buffer.pop_marks(101)] == [100]
    assert list(buffer.pop_marks(101)) == []


@pytest.mark.parametrize(
    ("offset_ms", "frames", "marks", "discarded_ms"),
    [
        (300, [100, 100, 50], [0, 100, 200], 0),
        (250, [100, 100, 50], [0, 100, 200], 0),
        (220, [100, 100, 20], [0, 100, 200], 30),
        (200, [100, 100], [0, 100], 50),
        (50, [50], [0], 200),
        (0, [], [], 250),
    ],
)
def test_truncate_discards_audio_and_marks_from_an_offset(buffer, offset_ms, frames, marks, discarded_ms):
    end_ms = buffer.truncate(offset_ms)
    assert end_ms == buffer.synthesised_ms == sum(frames)
    assert buffer.discarded_ms == discarded_ms
    assert [mark.offset_ms for mark in buffer.pop_marks(1_000)] == marks
    assert frames_of(buffer) == frames


def test_sent_frames_cannot_be_truncated(buffer):
    buffer.pop_frame()
    assert buffer.truncate(0) == 100
    assert not buffer
