"""Several voices in one text."""

from __future__ import annotations

import numpy as np
import pytest
from service_kit.errors import InvalidRequest
from tts_service.engine import SpeakerTurn, Voice
from tts_service.engines.higgs.model.delay import Codebooks
from tts_service.engines.higgs.prompt import PromptPiece, VoiceReference, build_voice_prefix, tag_speakers
from tts_service.engines.higgs.voices import check_multi_speaker_id, multi_speaker_voices, speaker_ids

ANA, BOB = Voice("ana-1", "Ana", ("es",), cloned=True), Voice("bob-2", "Bob", ("en",), cloned=True)
BOOKS = Codebooks(8, 1024, 1025)
FRAMES = np.random.default_rng(1).integers(0, 1024, (5, 8))


def test_a_cast_speaks_what_its_voices_speak() -> None:
    assert multi_speaker_voices(["ana-1+bob-2"], [ANA, BOB]) == [
        Voice("ana-1+bob-2", "Ana + Bob", ("es", "en"), cloned=True)
    ]
    assert speaker_ids("ana-1+bob-2") == ("ana-1", "bob-2")
    assert speaker_ids("ana-1") == ("ana-1",)


def test_a_cast_that_lacks_a_voice_is_left_out() -> None:
    assert multi_speaker_voices(["ana-1+bob-2", "bob-2+bob-2"], [BOB]) == [
        Voice("bob-2+bob-2", "Bob + Bob", ("en",), True)
    ]


@pytest.mark.parametrize("cast", ["", "ana-1", "ana-1+", "+", "a+b+c+d+e"])
def test_what_is_no_cast_is_refused(cast: str) -> None:
    with pytest.raises(InvalidRequest, match="TTS_HIGGS_CASTS"):
        check_multi_speaker_id(cast)
    check_multi_speaker_id("a+b")
    check_multi_speaker_id("a+b+c+d")


@pytest.mark.parametrize(
    ("text", "turns", "read"),
    [
        ("Hello there.", (), "[SPEAKER0] Hello there."),
        ("Hello there.", ((0, 1),), "[SPEAKER1] Hello there."),
        ("Hi. And you? ", ((0, 0), (4, 1)), "[SPEAKER0] Hi. [SPEAKER1] And you?"),
        ("So it is. Hm.", ((10, 1),), "[SPEAKER0] So it is. [SPEAKER1] Hm."),
        # A tag at the very end belongs to the next phrase.
        ("Hello there.", ((0, 1), (12, 0)), "[SPEAKER1] Hello there."),
        # Nobody has this turn, so the first speaker takes it.
        ("Hello there.", ((0, 7),), "[SPEAKER0] Hello there."),
    ],
)
def test_the_model_reads_whose_turn_it_is(text: str, turns: tuple[SpeakerTurn, ...], read: str) -> None:
    assert tag_speakers(text, turns, 2) == read


def prompt_of(references: tuple[VoiceReference | None, ...], scene: str = "A beach.") -> tuple[str, list[PromptPiece]]:
    """The prompt's text, and its other pieces, which are sound."""
    pieces = build_voice_prefix(lambda text: [ord(letter) for letter in text], references, BOOKS, scene)
    text = "".join("".join(map(chr, piece)) if isinstance(piece, tuple) else "~" for piece in pieces)
    return text, [piece for piece in pieces if not isinstance(piece, tuple)]


def test_each_speaker_of_a_cast_is_heard_once_before_the_text() -> None:
    text, sounds = prompt_of((VoiceReference("Hola.", FRAMES), VoiceReference("Hello.", FRAMES + 1)))
    assert text.startswith("<|begin_of_text|><|start_header_id|>system")
    assert "<|scene_desc_start|>\nA beach.\n<|scene_desc_end|>" in text
    before, between, after = text.split("~")
    assert before.endswith(
        "[SPEAKER0] Hola.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n<|audio_out_bos|>"
    )
    assert between.startswith("<|audio_eos|><|eot_id|><|start_header_id|>user<|end_header_id|>\n\n[SPEAKER1] Hello.")
    assert after == "<|audio_eos|><|eot_id|>"
    assert len(sounds) == 2
    assert not np.array_equal(sounds[0], sounds[1])


def test_a_single_voice_has_no_tag() -> None:
    assert "SPEAKER" not in prompt_of((VoiceReference("Hola.", FRAMES),))[0]
    text, sounds = prompt_of((None,))
    assert text.endswith("A beach.\n<|scene_desc_end|><|eot_id|>")
    assert sounds == []
