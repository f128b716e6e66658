"""The speech edge detector: probabilities in, edges out."""

from __future__ import annotations

import dataclasses

import pytest
from vad_service.events import SpeechStarted, SpeechStopped
from vad_service.settings import EdgeThresholds, VadSettings
from vad_service.speech.speech_edges import PauseReached, SpeechEdgeDetector

THRESHOLDS = VadSettings().edge_thresholds


def push(detector: SpeechEdgeDetector, probabilities: list[float], from_ms: int = 0) -> list[object]:
    return [
        edge
        for index, probability in enumerate(probabilities)
        for edge in detector.push_frame(from_ms + index * 32, from_ms + index * 32 + 32, probability)
    ]


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([0.0] * 100, []),
        ([0.49, 0.49] * 3 + [0.0] * 14, [SpeechStarted(0, 0), SpeechStopped(352), PauseReached(352, 224)]),
        ([0.0, 0.79, 0.0, 0.79, 0.0, 0.0], []),
        ([0.0] * 10 + [0.8], [SpeechStarted(320, 20)]),
        ([0.0] * 10 + [0.5, 0.5], [SpeechStarted(320, 20)]),
        ([0.0] * 10 + [0.5, 0.9], [SpeechStarted(320, 20)]),
        ([0.0] * 2 + [0.9], [SpeechStarted(64, 0)]),
        ([0.9] + [0.36] * 50, [SpeechStarted(0, 0)]),
        ([0.9, 0.1, 0.1, 0.36, 0.1, 0.1], [SpeechStarted(0, 0)]),
        ([0.9] + [0.34] * 3, [SpeechStarted(0, 0), SpeechStopped(32)]),
        ([0.9, 0.09], [SpeechStarted(0, 0), SpeechStopped(32)]),
        ([0.9, 0.34, 0.09], [SpeechStarted(0, 0), SpeechStopped(32)]),
        ([0.9] + [0.1] * 6, [SpeechStarted(0, 0), SpeechStopped(32)]),
        ([0.9] + [0.1] * 15, [SpeechStarted(0, 0), SpeechStopped(32), PauseReached(32, 224)]),
        ([0.9] + [0.1] * 3 + [0.9], [SpeechStarted(0, 0), SpeechStopped(32), SpeechStarted(128, 32)]),
    ],
    ids=[
        "silence has no edges",
        "a run of faint frames starts speech",
        "single likely frames start nothing",
        "one sure frame starts speech",
        "two likely frames start speech where the first began",
        "a sure frame after a likely one starts where the likely one began",
        "pre-roll ends at the first sample",
        "frames above the stop threshold continue speech",
        "a short dip does not stop speech",
        "three silent frames stop speech at its last frame",
        "one frame of sure silence stops speech",
        "sure silence after doubtful silence stops speech at its last frame",
        "a pause shorter than the threshold is not reported",
        "a pause is reported once",
        "pre-roll does not reach into the previous utterance",
    ],
)
def test_probabilities_become_edges(probabilities: list[float], expected: list[object]):
    assert push(SpeechEdgeDetector(THRESHOLDS), probabilities) == expected


def test_a_whisper_starts_speech_and_stops_when_its_mean_falls():
    found = push(SpeechEdgeDetector(THRESHOLDS), [0.05] * 10 + [0.3] * 8 + [0.2] * 10 + [0.02] * 12)
    kinds = [type(edge) for edge in found]
    assert kinds == [SpeechStarted, SpeechStopped, PauseReached]
    assert found[0] == SpeechStarted(320, 20)
    # The mean over eight frames needs three of silence to fall below the faint threshold.
    assert 28 * 32 <= found[1].at_ms <= 31 * 32


def test_faint_speech_that_becomes_clear_stops_like_clear_speech():
    faint_then_clear = [0.3] * 8 + [0.9] * 8
    assert push(SpeechEdgeDetector(THRESHOLDS), [*faint_then_clear, 0.2, 0.2, 0.2])[-1] == SpeechStopped(16 * 32)


def test_the_tail_of_clear_speech_is_not_a_whisper():
    assert [type(edge) for edge in push(SpeechEdgeDetector(THRESHOLDS), [0.9] * 20 + [0.3] * 6)] == [
        SpeechStarted,
        SpeechStopped,
    ]


def test_a_gap_counts_as_silence():
    detector = SpeechEdgeDetector(THRESHOLDS)
    push(detector, [0.9] * 4)
    assert push(detector, [0.0], from_ms=5000) == [SpeechStopped(128), PauseReached(128, 4872)]


def test_speech_right_after_a_gap_is_a_new_utterance():
    detector = SpeechEdgeDetector(THRESHOLDS)
    push(detector, [0.9] * 4)
    assert push(detector, [0.9], from_ms=1000)[-1] == SpeechStarted(1000, 700)


def test_a_gap_below_the_stop_silence_does_not_stop_speech():
    detector = SpeechEdgeDetector(THRESHOLDS)
    push(detector, [0.9] * 4)
    assert push(detector, [0.9, 0.9], from_ms=128 + 64) == []


def test_a_gap_ends_a_run_of_likely_frames():
    detector = SpeechEdgeDetector(THRESHOLDS)
    push(detector, [0.0, 0.6])
    assert push(detector, [0.6], from_ms=1000) == []


def test_the_end_of_audio_stops_speech():
    detector = SpeechEdgeDetector(THRESHOLDS)
    push(detector, [0.9] * 3 + [0.1])
    assert detector.end_audio() == [SpeechStopped(96)]
    assert detector.end_audio() == []


def test_the_end_of_audio_in_silence_has_no_edge():
    detector = SpeechEdgeDetector(THRESHOLDS)
    push(detector, [0.9] * 3 + [0.1] * 3)
    assert detector.end_audio() == []
    assert SpeechEdgeDetector(THRESHOLDS).end_audio() == []


def test_a_pause_is_reported_at_each_threshold_and_after_more_speech():
    detector = SpeechEdgeDetector(THRESHOLDS)
    pauses = [edge for edge in push(detector, [0.9] + [0.1] * 60) if isinstance(edge, PauseReached)]
    assert pauses == [PauseReached(32, silence_ms) for silence_ms in (224, 512, 928, 1408)]
    found = push(detector, [0.9] + [0.1] * 8, from_ms=61 * 32)
    assert found == [SpeechStarted(1952, 1652), SpeechStopped(1984), PauseReached(1984, 224)]


def test_every_threshold_is_configurable():
    strict: EdgeThresholds = dataclasses.replace(
        THRESHOLDS,
        sure_probability=1.0,
        start_frames=4,
        stop_silence_ms=320,
        sure_silence_probability=0.0,
        turn_end_silences_ms=(320,),
    )
    assert push(SpeechEdgeDetector(strict), [0.9] * 3 + [0.0] * 2) == []
    found = push(SpeechEdgeDetector(strict), [0.9] * 4 + [0.0] * 10)
    assert found == [SpeechStarted(0, 0), SpeechStopped(128), PauseReached(128, 320)]
