"""The audio filters on recordings of people in noise, and the arithmetic of the measurement.

The recordings are not part of the project; without them, the tests that need them are skipped.
"""

from __future__ import annotations

import noise_mixing
import numpy as np
import pytest
from eval_filters import (
    FILTERS,
    QUIET_DBFS,
    Clip,
    Condition,
    apply_filter,
    background_noises,
    conditions,
    read_clips,
    score_detection,
    score_false_alarms,
)
from offline_engines import ROOT, VadRunner, VadScore
from service_kit.audio import MICROPHONE

RECORDINGS = ROOT.parent / "shared" / "speech"
RATE_HZ = MICROPHONE.rate_hz

with_recordings = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="no recordings of people beside this checkout (../shared/speech)"
)


# The arithmetic ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("snr_db", [20, 0, -5])
def test_the_noise_ratio_counts_speech_without_pauses(snr_db: int) -> None:
    speech = np.concatenate([np.zeros(RATE_HZ), noise_mixing.white_noise(RATE_HZ, 3)])
    noise = noise_mixing.mix(speech, [(1000, 2000)], noise_mixing.white_noise(2 * RATE_HZ, 4), snr_db) - speech
    assert noise_mixing.level_dbfs(speech[RATE_HZ:]) - noise_mixing.level_dbfs(noise) == pytest.approx(snr_db, abs=0.01)


def test_pink_noise_has_equal_power_in_every_octave() -> None:
    power = np.abs(np.fft.rfft(noise_mixing.pink_noise(20 * RATE_HZ, 1))) ** 2
    hertz = np.fft.rfftfreq(20 * RATE_HZ, 1 / RATE_HZ)
    octaves = [power[(hertz >= low) & (hertz < 2 * low)].sum() for low in (100, 400, 1600)]
    assert max(octaves) / min(octaves) < 1.2


def test_voices_of_a_babble_have_equal_levels() -> None:
    loud, quiet = noise_mixing.white_noise(RATE_HZ, 1), 0.01 * noise_mixing.white_noise(RATE_HZ, 2)
    together = noise_mixing.babble_noise([loud, quiet], RATE_HZ)
    assert noise_mixing.level_dbfs(together) == pytest.approx(-26 + 3, abs=0.2)


def test_a_score_separates_misses_false_alarms_and_late_edges() -> None:
    score = VadScore()
    score.add([(1000, 2000), (3000, 4000)], [(1100, 2050), (6000, 6500)], 10_000)
    assert (score.speech_ms, score.detected_ms, score.silence_ms, score.false_ms) == (2000, 900, 8000, 550)
    assert (score.utterances, score.missed) == (2, 1)
    assert (score.start_errors_ms, score.stop_errors_ms) == ([100], [50])


def test_filters_that_are_off_leave_the_recording_unchanged() -> None:
    samples = noise_mixing.white_noise(1000, 1)
    assert apply_filter(FILTERS["off"], samples) == noise_mixing.pcm16(samples)
    assert len(apply_filter(FILTERS["low + gain"], samples)) == 2000


# Recordings of people -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def detector() -> VadRunner:
    return VadRunner()


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return read_clips(RECORDINGS)


@pytest.fixture(scope="module")
def people(clips: list[Clip], detector: VadRunner) -> list[Clip]:
    """Short English recordings; their spans are the speech detected without a filter."""
    english = [clip for clip in clips if clip.language == "en" and len(clip.samples) < 6 * RATE_HZ]
    for clip, spans in zip(
        english, detector.find_speech([noise_mixing.pcm16(clip.samples) for clip in english]), strict=True
    ):
        clip.spans = spans
    return english


@pytest.fixture(scope="module")
def noise_conditions(clips: list[Clip]) -> dict[str, Condition]:
    return {condition.name: condition for condition in conditions(background_noises(clips))}


@with_recordings
@pytest.mark.parametrize("filter_name", ["low", "gain", "low + gain"])
def test_filters_keep_speech_detectable_in_a_quiet_room(
    filter_name: str, detector: VadRunner, people: list[Clip], noise_conditions: dict[str, Condition]
) -> None:
    score = score_detection(detector, noise_conditions["clean"], people, FILTERS[filter_name])
    assert score.missed <= 0.02 * score.utterances
    assert score.detected_ms >= 0.97 * score.speech_ms


@with_recordings
def test_automatic_gain_helps_to_detect_quiet_speech(
    detector: VadRunner, people: list[Clip], noise_conditions: dict[str, Condition]
) -> None:
    condition = noise_conditions[f"quiet, {QUIET_DBFS} dBFS"]
    plain, lifted = (
        score_detection(detector, condition, people, FILTERS[filter_name]) for filter_name in ("off", "gain")
    )
    assert lifted.detected_ms > plain.detected_ms
    assert lifted.missed <= plain.missed


@with_recordings
def test_filters_do_not_turn_noise_into_speech(detector: VadRunner, clips: list[Clip]) -> None:
    silent = [clip.samples for clip in clips if clip.language == "zxx"]
    for filter_name in ("low", "gain", "low + gain"):
        score = score_false_alarms(detector, silent, FILTERS[filter_name])
        assert score.false_ms <= 0.05 * score.silence_ms, filter_name
