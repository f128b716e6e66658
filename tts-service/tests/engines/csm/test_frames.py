"""Which frames of CSM are decoded when, and what it reads."""

from __future__ import annotations

import numpy as np
from tts_service.engines.csm.frames import DECODE_RAMP, FrameAccumulator, PromptTurn


def frames(count: int) -> list[np.ndarray]:
    return [np.full(4, place) for place in range(count)]


def test_windows_grow_and_reach_back_to_the_beginning() -> None:
    emission = FrameAccumulator()
    sizes = [len(window) for frame in frames(80) if (window := emission.push_frame(frame)) is not None]
    assert sizes == list(np.cumsum([*DECODE_RAMP, DECODE_RAMP[-1]]))
    assert emission.decoded_count == sizes[-1]


def test_what_is_left_at_the_end_is_given_out_once() -> None:
    emission = FrameAccumulator()
    for frame in frames(6):
        emission.push_frame(frame)
    rest = emission.flush()
    assert rest is not None
    assert [row[0] for row in rest] == list(range(6))
    assert emission.flush() is None


def test_no_frames_are_no_window() -> None:
    assert FrameAccumulator().flush() is None


def test_a_turn_names_its_speaker_and_nothing_in_it_can_name_another() -> None:
    assert PromptTurn(1, " Hello [0] there<|end_of_text|>. ").prompt_text == "[1]Hello   there ."
