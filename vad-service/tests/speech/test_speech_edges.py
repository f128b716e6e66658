"""The edge policy: probabilities in, edges out."""

from __future__ import annotations

import dataclasses

import pytest
from vad_service.settings import VadSettings
from vad_service.speech.events import SpeechStarted, SpeechStopped
from vad_service.speech.speech_edges import EdgeRules, Edges, PauseReached

RULES = VadSettings().edge_rules


def hear(edges: Edges, probabilities: list[float], from_ms: int = 0) -> list[object]:
    return [
        edge
        for index, probability in enumerate(probabilities)
        for edge in edges.hear(from_ms + index * 32, from_ms + index * 32 + 32, probability)
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
        ([0.9] + [0.1] * 6, [SpeechStarted(0, 0), SpeechStopped(32)]),
        ([0.9] + [0.1] * 15, [SpeechStarted(0, 0), SpeechStopped(32), PauseReached(32, 224)]),
        ([0.9] + [0.1] * 3 + [0.9], [SpeechStarted(0, 0), SpeechStopped(32), SpeechStarted(128, 32)]),
    ],
    ids=[
        "silence says nothing",
        "a stretch of faint frames starts speech",
        "single likely frames start nothing",
        "one sure frame starts speech",
        "two likely frames start speech where the first began",
        "a sure frame after a likely one starts where the likely one began",
        "pre-roll ends at the first sample",
        "half-sure frames keep speech going",
        "a short dip does not stop speech",
        "three silent frames stop speech at its last frame",
        "no pause is reached before its time",
        "a pause is reached once",
        "pre-roll does not reach into the utterance before",
    ],
)
def test_edges(probabilities: list[float], expected: list[object]):
    assert hear(Edges(RULES), probabilities) == expected


def test_a_whisper_starts_speech_where_it_rose_and_stops_when_it_has_faded():
    found = hear(Edges(RULES), [0.05] * 10 + [0.3] * 8 + [0.2] * 10 + [0.02] * 12)
    kinds = [type(edge) for edge in found]
    assert kinds == [SpeechStarted, SpeechStopped, PauseReached]
    assert found[0] == SpeechStarted(320, 20)
    # The mean over eight frames needs three of silence to fall below the faint threshold.
    assert 28 * 32 <= found[1].at_ms <= 31 * 32


def test_faint_speech_that_becomes_clear_stops_like_clear_speech():
    faint_then_clear = [0.3] * 8 + [0.9] * 8
    assert hear(Edges(RULES), [*faint_then_clear, 0.2, 0.2, 0.2])[-1] == SpeechStopped(16 * 32)


def test_the_tail_of_clear_speech_does_not_count_as_a_whisper():
    assert [type(edge) for edge in hear(Edges(RULES), [0.9] * 20 + [0.3] * 6)] == [SpeechStarted, SpeechStopped]


def test_a_gap_counts_as_silence():
    edges = Edges(RULES)
    hear(edges, [0.9] * 4)
    assert hear(edges, [0.0], from_ms=5000) == [SpeechStopped(128), PauseReached(128, 4872)]


def test_speech_right_after_a_gap_is_a_new_utterance():
    edges = Edges(RULES)
    hear(edges, [0.9] * 4)
    assert hear(edges, [0.9], from_ms=1000)[-1] == SpeechStarted(1000, 700)


def test_a_gap_shorter_than_the_silence_does_not_stop_speech():
    edges = Edges(RULES)
    hear(edges, [0.9] * 4)
    assert hear(edges, [0.9, 0.9], from_ms=128 + 64) == []


def test_likely_frames_on_both_sides_of_a_gap_are_not_a_row():
    edges = Edges(RULES)
    hear(edges, [0.0, 0.6])
    assert hear(edges, [0.6], from_ms=1000) == []


def test_the_end_of_audio_stops_speech():
    edges = Edges(RULES)
    hear(edges, [0.9] * 3 + [0.1])
    assert edges.end() == [SpeechStopped(96)]
    assert edges.end() == []


def test_the_end_of_audio_in_silence_is_nothing_new():
    edges = Edges(RULES)
    hear(edges, [0.9] * 3 + [0.1] * 3)
    assert edges.end() == []
    assert Edges(RULES).end() == []


def test_a_pause_is_told_again_as_it_grows_and_anew_after_more_speech():
    edges = Edges(RULES)
    told = [edge for edge in hear(edges, [0.9] + [0.1] * 60) if isinstance(edge, PauseReached)]
    assert told == [PauseReached(32, silence_ms) for silence_ms in (224, 512, 928, 1408)]
    told = hear(edges, [0.9] + [0.1] * 8, from_ms=61 * 32)
    assert told == [SpeechStarted(1952, 1652), SpeechStopped(1984), PauseReached(1984, 224)]


def test_rules_are_settings_not_constants():
    patient: EdgeRules = dataclasses.replace(
        RULES, sure_probability=1.0, start_frames=4, stop_silence_ms=320, turn_end_silences_ms=(320,)
    )
    assert hear(Edges(patient), [0.9] * 3 + [0.0] * 2) == []
    found = hear(Edges(patient), [0.9] * 4 + [0.0] * 10)
    assert found == [SpeechStarted(0, 0), SpeechStopped(128), PauseReached(128, 320)]
