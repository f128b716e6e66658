"""The report on sounds over a reply: what counts as right, the delays, and where a sound begins."""

from __future__ import annotations

import numpy as np
import soundfile
from over_reply import SPEECH, Sound, Trial, audible_from_ms, read_sounds, report
from service_kit.audio import to_pcm


def trial(kind: str, stopped_ms: float | None, last_frame_ms: float = 0.0) -> Trial:
    verdict = "cough" if stopped_ms is None else "stop_words"
    return Trial(Sound(kind, "one", b""), 90.0, stopped_ms, last_frame_ms, (verdict,), "Yeah.")


def test_only_speech_may_stop_the_reply() -> None:
    assert trial(SPEECH, 400).is_right
    assert not trial(SPEECH, None).is_right
    assert trial("cough", None).is_right
    assert not trial("cough", 400).is_right


def test_report_has_a_row_for_each_kind_and_one_for_all_but_speech() -> None:
    text = report([trial("cough", None), trial("cough", 700, 12), trial("laugh", None), trial(SPEECH, 400)], True)
    assert "| cough | 2 | 2 | 1 | 90 / 90 | 700 / 700 | 12 | 1 cough, 1 stop_words |" in text
    assert "| laugh | 1 | 1 | 0 | 90 / 90 | – | 0 | 1 cough |" in text
    assert "| all but speech | 3 | 3 | 1 | 90 / 90 | 700 / 700 | 12 | 2 cough, 1 stop_words |" in text
    assert "| laugh: one | 90 | – | cough | Yeah. |" in text


def test_sound_begins_with_its_first_audible_frame() -> None:
    quiet, loud = np.full(1600, 0.001, np.float32), np.full(1600, 0.1, np.float32)
    assert audible_from_ms(to_pcm(np.concatenate([quiet, loud]))) == 100
    assert audible_from_ms(to_pcm(quiet)) == 0


def test_kind_of_a_sound_is_the_first_part_of_its_name(tmp_path) -> None:
    soundfile.write(tmp_path / "cough-at-desk.wav", np.zeros(1600), 16_000)
    (sound,) = read_sounds(tmp_path)
    assert (sound.kind, sound.name) == ("cough", "cough-at-desk")
