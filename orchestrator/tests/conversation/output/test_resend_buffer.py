"""The resend buffer: sent audio for a client that reconnects."""

from __future__ import annotations

import pytest
from orchestrator.conversation.output.resend_buffer import AudioResendBuffer
from service_kit.audio import SPEECH


def frame(value: int, length_ms: float = 100) -> bytes:
    return bytes([value]) * SPEECH.bytes_for(length_ms)


@pytest.fixture
def buffer() -> AudioResendBuffer:
    buffer = AudioResendBuffer()
    for value in (1, 2, 3):
        buffer.append(frame(value))
    return buffer


@pytest.mark.parametrize(
    ("length_ms", "resent"),
    [
        (0, []),
        (100, [frame(3)]),
        (150, [frame(2, 50), frame(3)]),
        (300, [frame(1), frame(2), frame(3)]),
        (1_000, [frame(1), frame(2), frame(3)]),
    ],
)
def test_the_last_audio_is_resent_oldest_first(buffer, length_ms, resent):
    assert buffer.pop_unacknowledged(length_ms) == resent


def test_resent_audio_is_removed_and_acknowledged_audio_stays(buffer):
    buffer.pop_unacknowledged(150)
    buffer.append(frame(4))
    assert buffer.pop_unacknowledged(1_000) == [frame(1), frame(2, 50), frame(4)]


def test_a_sample_is_never_split(buffer):
    assert all(len(pcm) % 2 == 0 for pcm in buffer.pop_unacknowledged(133.37))


def test_audio_beyond_the_retention_is_dropped(buffer):
    for _ in range(100):
        buffer.append(frame(9))
    kept = buffer.pop_unacknowledged(60_000)
    assert kept == [frame(9)] * 60
