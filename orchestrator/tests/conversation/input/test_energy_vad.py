"""The energy VAD: speech start and stop by loudness."""

from __future__ import annotations

import numpy as np
import pytest
from orchestrator.conversation.input.energy_vad import EnergyVad
from orchestrator.conversation.model.ports import SpeechStarted, SpeechStopped, TurnEndPredicted
from service_kit.audio import AudioChunk

CHUNK_MS = 20


def events_of(levels_db: list[float]) -> list[object]:
    """The events for chunks of a tone with these levels, in dBFS."""
    vad = EnergyVad()
    tone = np.sqrt(2) * np.sin(np.arange(16 * CHUNK_MS) * 2 * np.pi / 32)
    events: list[object] = []
    for number, level_db in enumerate(levels_db):
        samples = np.rint(32_768 * 10 ** (level_db / 20) * tone).astype("<i2")
        events += vad.push_audio(AudioChunk(number * CHUNK_MS, samples.tobytes()))
    return events


QUIET, LOUD = [-60.0] * 50, [-20.0] * 50
SILENCE = [-90.0] * 50

TABLE = {
    "silence has no events": (SILENCE, []),
    "speech starts at its third loud chunk": ([*QUIET, *LOUD], [SpeechStarted(1_000, 700)]),
    "speech at the beginning has a cut pre-roll": (LOUD, [SpeechStarted(0, 0)]),
    "two loud chunks are no speech": ([*QUIET, -20, -20, *QUIET], []),
    "speech stops after 250 ms of silence": (
        [*QUIET, *LOUD, *QUIET],
        [SpeechStarted(1_000, 700), SpeechStopped(2_000), TurnEndPredicted(2_000, 0.5, "energy")],
    ),
    "a short gap does not stop speech": ([*QUIET, *LOUD, *QUIET[:12], *LOUD], [SpeechStarted(1_000, 700)]),
    "sound below -45 dBFS is no speech": ([*SILENCE, *[-46.0] * 50], []),
    "sound 11 dB above the noise floor is no speech": ([*[-50.0] * 200, *[-39.0] * 50], []),
    "sound 13 dB above the noise floor is speech": ([*[-50.0] * 200, *[-37.0] * 8], [SpeechStarted(4_000, 3_700)]),
}


@pytest.mark.parametrize(("levels_db", "events"), TABLE.values(), ids=TABLE)
def test_events_by_loudness(levels_db, events):
    assert events_of(levels_db) == events


def test_speech_can_start_again_after_a_stop():
    events = events_of([*QUIET, *LOUD, *QUIET, *LOUD])
    assert [event for event in events if isinstance(event, SpeechStarted)] == [
        SpeechStarted(1_000, 700),
        SpeechStarted(3_000, 2_700),
    ]


def chunks_of(level_db: float, count: int, start_ms: int) -> list[AudioChunk]:
    tone = np.sqrt(2) * np.sin(np.arange(16 * CHUNK_MS) * 2 * np.pi / 32)
    pcm = np.rint(32_768 * 10 ** (level_db / 20) * tone).astype("<i2").tobytes()
    return [AudioChunk(start_ms + number * CHUNK_MS, pcm) for number in range(count)]


def test_speech_that_another_detector_found_goes_on():
    vad = EnergyVad(speaking_until_ms=1_000)
    chunks = [*chunks_of(-20, 10, 1_000), *chunks_of(-60, 20, 1_200)]
    assert [event for chunk in chunks for event in vad.push_audio(chunk)] == [
        SpeechStopped(1_200),
        TurnEndPredicted(1_200, 0.5, "energy"),
    ]


def test_speech_that_another_detector_found_may_have_ended():
    vad = EnergyVad(speaking_until_ms=1_000)
    events = [event for chunk in chunks_of(-60, 20, 1_000) for event in vad.push_audio(chunk)]
    assert events[0] == SpeechStopped(1_000)


def test_a_calibrated_floor_is_that_of_the_noise():
    vad = EnergyVad()
    for chunk in chunks_of(-40, 250, 0):
        vad.calibrate(chunk)
    assert [event for chunk in chunks_of(-40, 50, 5_000) for event in vad.push_audio(chunk)] == []
    assert [event for chunk in chunks_of(-20, 5, 6_000) for event in vad.push_audio(chunk)] == [
        SpeechStarted(6_000, 5_700)
    ]
