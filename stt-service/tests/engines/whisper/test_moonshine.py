"""Moonshine: its tokens, and the real model on a recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from service_kit.audio import to_float
from stt_service.engines.whisper.moonshine import MoonshineModel, read_tokens


def test_tokens_have_their_length_before_them() -> None:
    long = b"x" * 200
    # 200 = 72 + 128: the low seven bits with the high bit set, then the rest.
    assert read_tokens(b"\x02ab\x00\x03abc" + bytes([128 + 72, 1]) + long) == [b"ab", b"", b"abc", long]


@pytest.mark.parametrize("content", [b"\x02a", b"\x80", b"\xc8\x01abc"])
def test_an_incomplete_file_of_tokens_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"tokenizer\.bin ends"):
        read_tokens(content)


@pytest.fixture(scope="module")
def moonshine(real_models: Path) -> MoonshineModel:
    return MoonshineModel(real_models / "moonshine-tiny-en")


def test_the_real_model_transcribes_a_question(moonshine: MoonshineModel, ferry: bytes) -> None:
    clip = moonshine.transcribe(to_float(ferry), lambda: False)
    assert (clip.text, clip.language) == ("What is the latest on the ferry?", "en")
    assert clip.confidence is not None
    assert clip.confidence > 0.7


def test_a_clip_of_one_sample_is_long_enough(moonshine: MoonshineModel) -> None:
    assert moonshine.transcribe(np.zeros(1, np.float32), lambda: False).language == "en"


def test_a_cancelled_clip_ends_between_two_tokens(moonshine: MoonshineModel, ferry: bytes) -> None:
    asked = iter([False, False, True])
    clip = moonshine.transcribe(to_float(ferry), lambda: next(asked))
    assert clip.text
    assert "What is the latest".startswith(clip.text)


def test_the_tokens_of_the_real_model_are_complete(real_models: Path) -> None:
    tokens = read_tokens((real_models / "moonshine-tiny-en" / "tokenizer.bin").read_bytes())
    # As many as the decoder's logits.
    assert len(tokens) == 32768
    assert "\u2581the".encode() in tokens
