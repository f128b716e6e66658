"""How many frames of a microphone travel in one message."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from orchestrator.conversation.input.audio_batching import AudioBatching
from service_kit.audio import AudioChunk

CHUNK_MS = 20
ROOM, LOUD, ZEROS = -60.0, -20.0, float("-inf")


class Microphone:
    """White noise of the level that the test asks for, in chunks."""

    def __init__(self, offset: int = 0) -> None:
        self._batching = AudioBatching()
        self._position_ms = 0
        self._offset = offset
        self._draw = np.random.default_rng(1)

    def sound(self, ms: int, level_db: float, *, user_speaking: bool = False) -> list[tuple[int, int]]:
        """Send so much sound; return the frames of a message, each with how long that held, in ms."""
        counts = []
        for _ in range(ms // CHUNK_MS):
            samples = self._draw.normal(0, 32_768 * 10 ** (level_db / 20), 16 * CHUNK_MS) + self._offset
            chunk = AudioChunk(self._position_ms, np.rint(samples).astype("<i2").tobytes())
            self._position_ms += CHUNK_MS
            counts.append(self._batching.frames_per_message(chunk, user_speaking=user_speaking))
        return [(count, CHUNK_MS * len(list(group))) for count, group in groupby(counts)]


@pytest.mark.parametrize("quiet", [ROOM, ZEROS])
@pytest.mark.parametrize("offset", [0, 400])
def test_a_quiet_room_sends_ten_frames_after_a_second_and_a_half(quiet, offset):
    microphone = Microphone(offset)
    microphone.sound(4_000, quiet)
    assert microphone.sound(3_000, quiet) == [(10, 3_000)]
    microphone.sound(500, LOUD)
    assert microphone.sound(3_000, quiet) == [(2, 1_480), (10, 1_520)]


@pytest.mark.parametrize("level_db", [LOUD, -48.0])
def test_the_first_sound_is_sent_frame_by_frame_at_once(level_db):
    microphone = Microphone()
    microphone.sound(4_000, ROOM)
    assert microphone.sound(1_000, level_db)[0] == (1, 240)


def test_a_hum_of_the_room_becomes_its_quiet():
    microphone = Microphone()
    microphone.sound(4_000, ROOM)
    assert microphone.sound(6_000, ROOM + 12)[-1][0] == 10


def test_speech_is_sent_frame_by_frame_however_faint():
    microphone = Microphone()
    microphone.sound(4_000, ROOM)
    assert microphone.sound(3_000, ROOM, user_speaking=True) == [(1, 3_000)]
    # Turn-end predictions are due for a while.
    assert microphone.sound(1_400, ROOM) == [(2, 1_400)]


def test_a_restless_room_sends_two_frames():
    microphone = Microphone()
    microphone.sound(4_000, ROOM)
    counts = [microphone.sound(400, level_db) for _ in range(8) for level_db in (LOUD, ROOM)]
    assert all(count == [(2, 400)] for count in counts[1:])


def test_silence_after_a_noise_is_quiet_again():
    microphone = Microphone()
    microphone.sound(4_000, ZEROS)
    microphone.sound(4_000, ROOM)
    assert microphone.sound(2_000, ROOM) == [(10, 2_000)]
