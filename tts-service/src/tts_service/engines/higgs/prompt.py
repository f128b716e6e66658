"""What the model reads before it speaks: who speaks, how that sounds, and the text. Pure but for the tokenizer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tts_service.engine import SpeakerTurn
from tts_service.engines.higgs.model.delay import Codebooks, Codes, apply_delay

Tokenize = Callable[[str], list[int]]

QUIET_ROOM = "Audio is recorded from a quiet room."
_SYSTEM = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nGenerate audio following instruction."
    "\n\n<|scene_desc_start|>\n{scene}\n<|scene_desc_end|><|eot_id|>"
)
_USER_MESSAGE = (
    "<|start_header_id|>user<|end_header_id|>\n\n{text}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n<|audio_out_bos|>"
)
_SPEAKER = "[SPEAKER{number}] {text}"
_END_OF_AUDIO = "<|audio_eos|><|eot_id|>"
# Text that the tokenizer would take for one of its own signs.
_CONTROL = re.compile(r"<\|.*?\|>")

# A run of text tokens, or rows of codes, shape [n, books].
PromptPiece = tuple[int, ...] | Codes


@dataclass(frozen=True, slots=True)
class VoiceReference:
    """How a voice sounds: frames of codes, shape [n, books], and what is said in them."""

    transcript: str
    frames: Codes


@dataclass(frozen=True, slots=True)
class PhrasePrompt:
    """A phrase to be spoken, in the text of several voices with their tags; `voice_id` names them in the cache."""

    text: str
    voice_id: str
    # Of each speaker in turn; None for a voice of the model's own choice.
    references: tuple[VoiceReference | None, ...]
    seed: int
    # Where, and how, it is spoken.
    scene: str = QUIET_ROOM
    # None for the one that is set.
    temperature: float | None = None


def count_tokens(pieces: list[PromptPiece]) -> int:
    """Places that `pieces` take in the model's context."""
    return sum(len(piece) for piece in pieces)


def build_voice_prefix(
    tokenize: Tokenize, references: tuple[VoiceReference | None, ...], books: Codebooks, scene: str = QUIET_ROOM
) -> list[PromptPiece]:
    """What all phrases in these voices and this scene begin with."""
    pieces: list[PromptPiece] = []
    text = _SYSTEM.format(scene=scene)
    for number, reference in enumerate(references):
        if reference is not None:
            said = reference.transcript if len(references) == 1 else _speaker_text(number, reference.transcript)
            pieces += [tuple(tokenize(text + _user_message(said))), apply_delay(reference.frames, books)]
            text = _END_OF_AUDIO
    return [*pieces, tuple(tokenize(text))]


def tag_speakers(text: str, turns: Sequence[SpeakerTurn], speakers: int) -> str:
    """`text` as several `speakers` say it: whose turn it is stands before each. Without a turn the first one speaks."""
    starts = [(0, 0), *((place, speaker if speaker < speakers else 0) for place, speaker in turns)]
    ends = [place for place, _ in starts[1:]] + [len(text)]
    said = ((speaker, text[start:end].strip()) for (start, speaker), end in zip(starts, ends, strict=True))
    return " ".join(_speaker_text(speaker, words) for speaker, words in said if words)


def tokenize_phrase(tokenize: Tokenize, text: str) -> tuple[int, ...]:
    """What asks for the speech of `text`, after a voice's prefix."""
    return tuple(tokenize(_user_message(text)))


def _speaker_text(number: int, text: str) -> str:
    return _SPEAKER.format(number=number, text=text)


def _user_message(text: str) -> str:
    return _USER_MESSAGE.format(text=_CONTROL.sub(" ", text).strip())
