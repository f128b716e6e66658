"""Accumulation of CSM's frames for decoding, and the text of its prompt."""

from __future__ import annotations

import numpy as np
from tts_service.engines.csm.frames import DECODE_RAMP, FrameAccumulator, PromptTurn


def frames(count: int) -> list[np.ndarray]:
    return [np.full(4, place) for place in range(count)]


def test_decodings_grow_and_start_at_the_first_frame() -> None:
    accumulator = FrameAccumulator()
    sizes = [len(decoding) for frame in frames(80) if (decoding := accumulator.push_frame(frame)) is not None]
    assert sizes == list(np.cumsum([*DECODE_RAMP, DECODE_RAMP[-1]]))
    assert accumulator.decoded_count == sizes[-1]


def test_flush_returns_all_frames_once() -> None:
    accumulator = FrameAccumulator()
    for frame in frames(6):
        accumulator.push_frame(frame)
    rest = accumulator.flush()
    assert rest is not None
    assert [row[0] for row in rest] == list(range(6))
    assert accumulator.flush() is None


def test_flush_without_frames_returns_none() -> None:
    assert FrameAccumulator().flush() is None


def test_prompt_text_has_one_speaker_tag_and_no_control_tokens() -> None:
    assert PromptTurn(1, " Hello [0] there<|end_of_text|>. ").prompt_text == "[1]Hello   there ."
