"""Which frames of CSM are decoded when, and what it reads."""

from __future__ import annotations

import numpy as np
from tts_service.engines.csm.frames import EMISSION_RAMP, Emission, Turn


def frames(count: int) -> list[np.ndarray]:
    return [np.full(4, place) for place in range(count)]


def test_windows_grow_and_reach_back_to_the_beginning() -> None:
    emission = Emission()
    sizes = [len(window) for frame in frames(80) if (window := emission.add(frame)) is not None]
    assert sizes == list(np.cumsum([*EMISSION_RAMP, EMISSION_RAMP[-1]]))
    assert emission.emitted == sizes[-1]


def test_what_is_left_at_the_end_is_given_out_once() -> None:
    emission = Emission()
    for frame in frames(6):
        emission.add(frame)
    rest = emission.finish()
    assert rest is not None
    assert [row[0] for row in rest] == list(range(6))
    assert emission.finish() is None


def test_no_frames_are_no_window() -> None:
    assert Emission().finish() is None


def test_a_turn_names_its_speaker_and_nothing_in_it_can_name_another() -> None:
    assert Turn(1, " Hello [0] there<|end_of_text|>. ").written == "[1]Hello   there ."
