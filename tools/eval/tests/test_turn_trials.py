"""The audio of trials: inserted pauses, room tone around them, and the echo of the anchor's voice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from barge_in_simulation import Outcome, add_echo
from barge_ins import TrialGroup, barge_ins_table, loop_audio
from noises import collect_noises
from numpy.typing import NDArray
from orchestrator.conversation.messages.server import BargeInVerdict
from orchestrator.conversation.model.ports import SpeechMark
from recogniser import PerfectRecogniser
from recordings import Recording
from replies import Reply
from service_kit.audio import MICROPHONE
from trials import (
    LEAD_MS,
    TAIL_MS,
    Label,
    Speech,
    find_dips,
    joined_trial,
    natural_trial,
    room_tone,
    trials_with_pauses,
)

SPEECH = Speech((100,), (2900,))


def samples(*parts: tuple[int, float]) -> NDArray[np.int16]:
    """Noise in parts of (milliseconds, level of full scale)."""
    draw = np.random.default_rng(1)
    loud = [level * draw.standard_normal(ms * 16) for ms, level in parts]
    return np.clip(np.concatenate(loud) * 32767, -32768, 32767).astype(np.int16)


@pytest.fixture
def recording() -> Recording:
    """Three seconds of one sentence, quiet at both ends and for 80 ms in the middle."""
    pcm = samples((100, 0.001), (1400, 0.1), (80, 0.001), (1320, 0.1), (100, 0.001))
    return Recording("en-reader-1", "en", "one two three four.", "clean", "", pcm.tobytes())


def rms(pcm: NDArray[np.int16]) -> float:
    return float(np.sqrt(np.mean(np.square(pcm.astype(np.float64)))))


def test_room_tone_has_the_level_of_the_quietest_moment(recording: Recording):
    tone = room_tone(np.frombuffer(recording.pcm, "<i2"), 1000)
    assert len(tone) == 16_000
    assert rms(tone) == pytest.approx(0.001 * 32767, rel=0.25)
    assert not np.array_equal(tone[:4800], tone[4800:9600])


def test_a_pause_is_inserted_at_the_dip_and_shifts_later_words(recording: Recording):
    assert find_dips(recording, SPEECH) == [1540]
    (trial,) = trials_with_pauses(recording, SPEECH, [600])
    whole = natural_trial(recording, SPEECH)
    assert len(trial.pcm) - len(whole.pcm) == MICROPHONE.bytes_for(600)
    assert (trial.inner, trial.last, trial.inserted_at_ms) == (Label.HOLD, Label.UNKNOWN, LEAD_MS + 1540)
    moved = [after.end_ms - before.end_ms for after, before in zip(trial.words, whole.words, strict=True)]
    assert moved == [0, 0, 600, 600]
    at = (LEAD_MS + 1540) * 16
    inside = np.frombuffer(trial.pcm, "<i2")[at : at + 9600]
    assert rms(inside) < 100


def test_a_natural_trial_has_room_tone_before_and_after(recording: Recording):
    trial = natural_trial(recording, SPEECH)
    assert MICROPHONE.ms_of(len(trial.pcm)) == LEAD_MS + 3000 + TAIL_MS
    assert (trial.inner, trial.last) == (Label.HOLD, Label.END)
    assert trial.words[-1].end_ms == LEAD_MS + 2900


def test_no_pause_is_inserted_into_many_sentences_or_two_speakers(recording: Recording):
    assert trials_with_pauses(replace(recording, transcript="One. Two three."), SPEECH, [600]) == []
    assert trials_with_pauses(replace(recording, table_kind="multi-speaker"), SPEECH, [600]) == []
    assert natural_trial(replace(recording, table_kind="multi-speaker"), SPEECH).inner is Label.UNKNOWN


def test_the_end_of_a_cut_recording_is_not_an_end_of_turn(recording: Recording):
    assert natural_trial(replace(recording, notes="cut in a pause"), SPEECH).last is Label.UNKNOWN
    assert natural_trial(replace(recording, transcript="well, one two"), SPEECH).last is Label.UNKNOWN


def test_two_joined_recordings_are_one_sentence_with_a_hold(recording: Recording):
    trial = joined_trial(recording, SPEECH, recording, SPEECH, 600)
    assert MICROPHONE.ms_of(len(trial.pcm)) == LEAD_MS + 2900 + 600 + 2900 + TAIL_MS
    assert [word.text for word in trial.words] == ["one", "two", "three", "four"] * 2
    assert trial.words[4].end_ms - trial.words[0].end_ms == 2900 + 600 - 100
    assert trial.inserted_at_ms == LEAD_MS + 2900


def test_synthetic_noises_have_their_levels():
    made = {noise.name: np.frombuffer(noise.pcm, "<i2") for noise in collect_noises([])}
    assert rms(made["white noise, -20 dB"]) == pytest.approx(3277, rel=0.01)
    assert rms(made["pink noise, -40 dB"]) == pytest.approx(328, rel=0.02)
    assert np.max(np.abs(made["cough, -26 dB"].astype(int))) == pytest.approx(32768 * 10 ** (-26 / 20), rel=0.01)


def test_an_echo_is_added_at_its_gain_and_clipped():
    sound, echo = np.array([100, 32000], "<i2").tobytes(), np.array([1000, 32000], "<i2").tobytes()
    assert np.frombuffer(add_echo(sound, echo, 0.1), "<i2").tolist() == [200, 32767]
    assert np.frombuffer(loop_audio(sound, 1), "<i2").tolist() == [100, 32000] * 8


def test_the_perfect_recogniser_emits_a_word_when_the_next_begins():
    text = "good evening everybody"
    marks = (SpeechMark(0, 4, 0), SpeechMark(5, 12, 300), SpeechMark(13, 22, 700))
    recogniser = PerfectRecogniser(Reply(text, marks, b""))
    piece = bytes(MICROPHONE.bytes_for(100))
    partials = [recogniser.decode(piece, place_ms)[0] for place_ms in range(0, 800, 100)]
    assert partials == ["", "", "", "good", "", "", "", "good evening"]
    assert recogniser.flush()[0] == text
    recogniser.commit()
    assert recogniser.decode(piece, None) == ("", 0)
    assert recogniser.flush()[0] == ""


def test_the_table_counts_pauses_and_stops_of_replies():
    held = Outcome(
        length_ms=4000,
        held_ms=1000,
        pauses_ms=[500, 900],
        verdicts=[
            (BargeInVerdict.BARGE_IN_VERDICT_COUGH, 300),
            (BargeInVerdict.BARGE_IN_VERDICT_STOP_WORDS, 500),
        ],
        stopped_ms=900,
    )
    quiet = Outcome(length_ms=6000)
    line = barge_ins_table([TrialGroup("laughter", [held, quiet])]).splitlines()[-1]
    assert line == "| laughter | 2 | 10 | 2 | 10% | 1 | 400 / 490 | 1 cough, 1 stop words |"
