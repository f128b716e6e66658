"""What hearing aids do for people in rooms, and the arithmetic of measuring it.

The recordings of people are not part of the project; without them, the tests that need them are skipped.
"""

from __future__ import annotations

import numpy as np
import pytest
import rooms
from audiometry import ROOT, VoiceDetector, VoiceScore
from eval_ears import AIDS, QUIET_DBFS, Clip, Room, all_rooms, false_alarms, heard_in, noises, read_clips, worn
from service_kit.audio import MICROPHONE

RECORDINGS = ROOT.parent / "shared" / "speech"
RATE_HZ = MICROPHONE.rate_hz

with_people = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="no recordings of people beside this checkout (../shared/speech)"
)


# The arithmetic ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("snr_db", [20, 0, -5])
def test_the_ratio_counts_where_somebody_speaks(snr_db: int) -> None:
    speech = np.concatenate([np.zeros(RATE_HZ), rooms.white(RATE_HZ, 3)])
    noise = rooms.mixed(speech, [(1000, 2000)], rooms.white(2 * RATE_HZ, 4), snr_db) - speech
    assert rooms.level_dbfs(speech[RATE_HZ:]) - rooms.level_dbfs(noise) == pytest.approx(snr_db, abs=0.01)


def test_pink_noise_has_as_much_in_every_octave() -> None:
    power = np.abs(np.fft.rfft(rooms.pink(20 * RATE_HZ, 1))) ** 2
    hertz = np.fft.rfftfreq(20 * RATE_HZ, 1 / RATE_HZ)
    octaves = [power[(hertz >= low) & (hertz < 2 * low)].sum() for low in (100, 400, 1600)]
    assert max(octaves) / min(octaves) < 1.2


def test_voices_of_a_babble_are_as_loud_as_each_other() -> None:
    loud, quiet = rooms.white(RATE_HZ, 1), 0.01 * rooms.white(RATE_HZ, 2)
    together = rooms.babble([loud, quiet], RATE_HZ)
    assert rooms.level_dbfs(together) == pytest.approx(-26 + 3, abs=0.2)


def test_a_score_tells_misses_from_false_alarms_and_late_edges() -> None:
    score = VoiceScore()
    score.add([(1000, 2000), (3000, 4000)], [(1100, 2050), (6000, 6500)], 10_000)
    assert (score.speech_ms, score.heard_ms, score.silence_ms, score.false_ms) == (2000, 900, 8000, 550)
    assert (score.utterances, score.missed) == (2, 1)
    assert (score.start_errors_ms, score.stop_errors_ms) == ([100], [50])


def test_no_aid_leaves_a_recording_as_it_is() -> None:
    samples = rooms.white(1000, 1)
    assert worn(AIDS["off"], samples) == rooms.pcm16(samples)
    assert len(worn(AIDS["low + gain"], samples)) == 2000


# People --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def detector() -> VoiceDetector:
    return VoiceDetector()


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return read_clips(RECORDINGS)


@pytest.fixture(scope="module")
def people(clips: list[Clip], detector: VoiceDetector) -> list[Clip]:
    """Those who speak English, briefly; their spans are where speech is heard without an audio_filter."""
    english = [clip for clip in clips if clip.language == "en" and len(clip.samples) < 6 * RATE_HZ]
    for clip, spans in zip(english, detector.spans([rooms.pcm16(clip.samples) for clip in english]), strict=True):
        clip.spans = spans
    return english


@pytest.fixture(scope="module")
def conditions(clips: list[Clip]) -> dict[str, Room]:
    return {room.name: room for room in all_rooms(noises(clips))}


@with_people
@pytest.mark.parametrize("audio_filter", ["low", "gain", "low + gain"])
def test_people_in_a_quiet_room_are_heard_through_an_aid(
    audio_filter: str, detector: VoiceDetector, people: list[Clip], conditions: dict[str, Room]
) -> None:
    score = heard_in(detector, conditions["clean"], people, AIDS[audio_filter])
    assert score.missed <= 0.02 * score.utterances
    assert score.heard_ms >= 0.97 * score.speech_ms


@with_people
def test_gain_finds_people_who_are_too_quiet_without_it(
    detector: VoiceDetector, people: list[Clip], conditions: dict[str, Room]
) -> None:
    room = conditions[f"quiet, {QUIET_DBFS} dBFS"]
    plain, lifted = (heard_in(detector, room, people, AIDS[audio_filter]) for audio_filter in ("off", "gain"))
    assert lifted.heard_ms > plain.heard_ms
    assert lifted.missed <= plain.missed


@with_people
def test_an_aid_makes_no_people_of_noise(detector: VoiceDetector, clips: list[Clip]) -> None:
    silent = [clip.samples for clip in clips if clip.language == "zxx"]
    for audio_filter in ("low", "gain", "low + gain"):
        score = false_alarms(detector, silent, AIDS[audio_filter])
        assert score.false_ms <= 0.05 * score.silence_ms, audio_filter
