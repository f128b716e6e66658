"""The last seconds of a microphone: how far back they go, and for whom."""

from __future__ import annotations

import pytest
from orchestrator.conversation.echo.recent_audio import RecentAudio
from service_kit.audio import MICROPHONE, AudioChunk


@pytest.fixture
def recent_audio() -> RecentAudio:
    """Ten seconds of a microphone, in chunks of 20 ms."""
    audio = RecentAudio()
    for at_ms in range(0, 10_000, 20):
        audio.append(AudioChunk(at_ms, bytes(MICROPHONE.bytes_for(20))))
    return audio


def test_detectors_get_the_last_five_seconds(recent_audio):
    assert recent_audio.since(0)[0].start_ms == 4_980
    assert recent_audio.since(9_970)[0].start_ms == 9_960


def test_the_search_for_echo_gets_the_last_two_seconds(recent_audio):
    chunks = recent_audio.until(9_000)
    assert (chunks[0].start_ms, chunks[-1].end_ms) == (7_980, 9_000)


def test_without_audio_there_is_none():
    assert RecentAudio().until(1_000) == []
