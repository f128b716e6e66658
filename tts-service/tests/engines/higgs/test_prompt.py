"""Prompts of higgs: speaker tags and voice prefixes."""

from __future__ import annotations

import numpy as np
import pytest
from tts_service.engine import SpeakerTurn
from tts_service.engines.higgs.delay import Codebooks
from tts_service.engines.higgs.prompt import PromptPiece, VoiceReference, build_voice_prefix, prepare_text, tag_speakers

BOOKS = Codebooks(8, 1024, 1025)
FRAMES = np.random.default_rng(1).integers(0, 1024, (5, 8))


@pytest.mark.parametrize(
    ("text", "turns", "tagged"),
    [
        ("Hello there.", (), "[SPEAKER0] Hello there."),
        ("Hello there.", ((0, 1),), "[SPEAKER1] Hello there."),
        ("Hi. And you? ", ((0, 0), (4, 1)), "[SPEAKER0] Hi.\n[SPEAKER1] And you?"),
        ("So it is. Hm.", ((10, 1),), "[SPEAKER0] So it is.\n[SPEAKER1] Hm."),
        # A tag at the very end belongs to the next phrase.
        ("Hello there.", ((0, 1), (12, 0)), "[SPEAKER1] Hello there."),
        # There is no speaker 7; speaker 0 speaks.
        ("Hello there.", ((0, 7),), "[SPEAKER0] Hello there."),
    ],
)
def test_speaker_tags_precede_their_turns(text: str, turns: tuple[SpeakerTurn, ...], tagged: str) -> None:
    assert tag_speakers(text, turns, 2) == tagged


def prompt_of(references: tuple[VoiceReference | None, ...], scene: str = "A beach.") -> tuple[str, list[PromptPiece]]:
    """The prompt's text, with ~ for audio, and its audio pieces."""
    pieces = build_voice_prefix(lambda text: [ord(letter) for letter in text], references, BOOKS, scene)
    text = "".join("".join(map(chr, piece)) if isinstance(piece, tuple) else "~" for piece in pieces)
    return text, [piece for piece in pieces if not isinstance(piece, tuple)]


def test_prefix_has_one_reference_per_speaker() -> None:
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


def test_single_voice_has_no_speaker_tag() -> None:
    assert "SPEAKER" not in prompt_of((VoiceReference("Hola.", FRAMES),))[0]
    text, sounds = prompt_of((None,))
    assert text.endswith("A beach.\n<|scene_desc_end|><|eot_id|>")
    assert sounds == []


@pytest.mark.parametrize(
    ("text", "language", "prepared"),
    [
        ("hello (there)", "en", "hello there."),
        ("Hello there.", "en", "Hello there."),
        ("Is it (very) cold?", "en", "Is it very cold?"),
        # A phrase that was cut off while text was missing.
        ("and then we went to the", "en", "and then we went to the."),
        ("And then,", "en", "And then,"),
        ('She said "no"', "en", 'She said "no"'),
        ("It is 20°C, or 68 °F", "en", "It is 20 degrees Celsius, or 68 degrees Fahrenheit."),
        ("Es hat 20 °C", "de", "Es hat 20 Grad Celsius."),
        ("Hace 20 °C.", "es", "Hace 20 grados Celsius."),
        ("今天20°C", "zh", "今天20摄氏度."),
        ("你好，世界。“好吗？”", "zh", '你好, 世界."好吗?"'),
        ("그래요（정말）", "ko", "그래요 정말."),
        ("It\u2019s late\u2026", "en", "It's late..."),
        ("  two \n\n lines\n", "en", "two\nlines."),
        ("[SPEAKER0] Hi.\n[SPEAKER1] And  you", "en", "[SPEAKER0] Hi.\n[SPEAKER1] And you."),
        ("", "en", ""),
        ("()", "en", ""),
    ],
)
def test_text_is_prepared_as_the_authors_do(text: str, language: str, prepared: str) -> None:
    assert prepare_text(text, language) == prepared
