"""What the model reads before it speaks: who speaks, how that sounds, and the text. Pure but for the tokenizer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tts_service.engines.higgs.delay import Codebooks, Codes, delayed

Encode = Callable[[str], list[int]]

_SYSTEM = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nGenerate audio following instruction."
    "\n\n<|scene_desc_start|>\nAudio is recorded from a quiet room.\n<|scene_desc_end|><|eot_id|>"
)
_TURN = (
    "<|start_header_id|>user<|end_header_id|>\n\n{text}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n<|audio_out_bos|>"
)
_END_OF_AUDIO = "<|audio_eos|><|eot_id|>"
# Text that the tokenizer would take for one of its own signs.
_CONTROL = re.compile(r"<\|.*?\|>")

# A run of text tokens, or rows of codes, shape [n, books].
Piece = tuple[int, ...] | Codes


@dataclass(frozen=True, slots=True)
class Reference:
    """How a voice sounds: frames of codes, shape [n, books], and what is said in them."""

    transcript: str
    frames: Codes


@dataclass(frozen=True, slots=True)
class Utterance:
    """A phrase to be spoken; `voice_id` names the reference's prefix in the cache."""

    text: str
    voice_id: str
    reference: Reference | None
    seed: int


def piece_tokens(pieces: list[Piece]) -> int:
    """Places that `pieces` take in the model's context."""
    return sum(len(piece) for piece in pieces)


def voice_prefix(encode: Encode, reference: Reference | None, books: Codebooks) -> list[Piece]:
    """What all phrases of a voice begin with."""
    if reference is None:
        return [tuple(encode(_SYSTEM))]
    return [
        tuple(encode(_SYSTEM + _turn(reference.transcript))),
        delayed(reference.frames, books),
        tuple(encode(_END_OF_AUDIO)),
    ]


def phrase_tokens(encode: Encode, text: str) -> tuple[int, ...]:
    """What asks for the speech of `text`, after a voice's prefix."""
    return tuple(encode(_turn(text)))


def _turn(text: str) -> str:
    return _TURN.format(text=_CONTROL.sub(" ", text).strip())
