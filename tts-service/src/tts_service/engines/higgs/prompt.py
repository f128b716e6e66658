"""What the model reads before it speaks: who speaks, how that sounds, and the text. Pure but for the tokenizer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tts_service.engine import Turn
from tts_service.engines.higgs.model.delay import Codebooks, Codes, delayed

Encode = Callable[[str], list[int]]

QUIET_ROOM = "Audio is recorded from a quiet room."
_SYSTEM = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nGenerate audio following instruction."
    "\n\n<|scene_desc_start|>\n{scene}\n<|scene_desc_end|><|eot_id|>"
)
_TURN = (
    "<|start_header_id|>user<|end_header_id|>\n\n{text}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n<|audio_out_bos|>"
)
_SPEAKER = "[SPEAKER{number}] {text}"
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
    """A phrase to be spoken, in the text of several voices with their tags; `voice_id` names them in the cache."""

    text: str
    voice_id: str
    # Of each speaker in turn; None for a voice of the model's own choice.
    references: tuple[Reference | None, ...]
    seed: int
    # Where, and how, it is spoken.
    scene: str = QUIET_ROOM
    # None for the one that is set.
    temperature: float | None = None


def piece_tokens(pieces: list[Piece]) -> int:
    """Places that `pieces` take in the model's context."""
    return sum(len(piece) for piece in pieces)


def voice_prefix(
    encode: Encode, references: tuple[Reference | None, ...], books: Codebooks, scene: str = QUIET_ROOM
) -> list[Piece]:
    """What all phrases in these voices and this scene begin with."""
    pieces: list[Piece] = []
    text = _SYSTEM.format(scene=scene)
    for number, reference in enumerate(references):
        if reference is not None:
            said = reference.transcript if len(references) == 1 else _by_speaker(number, reference.transcript)
            pieces += [tuple(encode(text + _turn(said))), delayed(reference.frames, books)]
            text = _END_OF_AUDIO
    return [*pieces, tuple(encode(text))]


def tagged(text: str, turns: Sequence[Turn], speakers: int) -> str:
    """`text` as several `speakers` say it: whose turn it is stands before each. Without a turn the first one speaks."""
    starts = [(0, 0), *((place, speaker if speaker < speakers else 0) for place, speaker in turns)]
    ends = [place for place, _ in starts[1:]] + [len(text)]
    said = ((speaker, text[start:end].strip()) for (start, speaker), end in zip(starts, ends, strict=True))
    return " ".join(_by_speaker(speaker, words) for speaker, words in said if words)


def phrase_tokens(encode: Encode, text: str) -> tuple[int, ...]:
    """What asks for the speech of `text`, after a voice's prefix."""
    return tuple(encode(_turn(text)))


def _by_speaker(number: int, text: str) -> str:
    return _SPEAKER.format(number=number, text=text)


def _turn(text: str) -> str:
    return _TURN.format(text=_CONTROL.sub(" ", text).strip())
