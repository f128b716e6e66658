"""The model's prompt: scene, voice references and text. Pure, except for the tokenizer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tts_service.engine import SpeakerTurn
from tts_service.engines.higgs.delay import Codebooks, Codes, apply_delay

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
# Text that the tokenizer would read as a control token.
_CONTROL = re.compile(r"<\|.*?\|>")

# As `normalize_chinese_punctuation` and the replacements of the authors' `generation.py`.
_PUNCTUATION = str.maketrans(
    {
        **dict(zip("：；？！【】《》、—·", ":;?![]<>,-.", strict=True)),
        **dict.fromkeys("“”「」『』", '"'),
        **dict.fromkeys("‘’", "'"),
        **dict.fromkeys("()（）", " "),
        "，": ", ",
        "。": ".",
        "…": "...",
    }
)
_DEGREES = re.compile(r"°\s?([CF])")
# How Celsius and Fahrenheit are said behind the number; "en" also for other languages.
_DEGREE_WORDS = {
    "en": {"C": " degrees Celsius", "F": " degrees Fahrenheit"},
    "de": {"C": " Grad Celsius", "F": " Grad Fahrenheit"},
    "es": {"C": " grados Celsius", "F": " grados Fahrenheit"},
    "zh": {"C": "摄氏度", "F": "华氏度"},
    "ko": {"C": "도", "F": "도"},
}
_FINAL_MARKS = (".", "!", "?", ",", ";", '"', "'")

# Text tokens, or rows of codes, shape [n, books].
PromptPiece = tuple[int, ...] | Codes


@dataclass(frozen=True, slots=True)
class VoiceReference:
    """Reference audio of a voice: codec frames, shape [n, books], and their transcript."""

    transcript: str
    frames: Codes


@dataclass(frozen=True, slots=True)
class PhrasePrompt:
    """A phrase to speak. With several speakers, `text` holds their tags. `voice_id` is the key in the prefix cache."""

    text: str
    voice_id: str
    # One per speaker; None lets the model choose a voice.
    references: tuple[VoiceReference | None, ...]
    seed: int
    # Description of the scene and of the speaking style.
    scene: str = QUIET_ROOM
    # None for the temperature of the `SamplingRule`.
    temperature: float | None = None


def count_tokens(pieces: list[PromptPiece]) -> int:
    """Number of tokens that `pieces` take in the model's context."""
    return sum(len(piece) for piece in pieces)


def build_voice_prefix(
    tokenize: Tokenize, references: tuple[VoiceReference | None, ...], books: Codebooks, scene: str = QUIET_ROOM
) -> list[PromptPiece]:
    """The common prefix of all phrases in these voices and this scene."""
    pieces: list[PromptPiece] = []
    text = _SYSTEM.format(scene=scene)
    for number, reference in enumerate(references):
        if reference is not None:
            transcript = reference.transcript if len(references) == 1 else _speaker_text(number, reference.transcript)
            pieces += [tuple(tokenize(text + _user_message(transcript))), apply_delay(reference.frames, books)]
            text = _END_OF_AUDIO
    return [*pieces, tuple(tokenize(text))]


def tag_speakers(text: str, turns: Sequence[SpeakerTurn], speakers: int) -> str:
    """Put each turn of `text` on a line of its own, behind its speaker's tag.

    Speaker 0 speaks text without a turn or of unknown speakers.
    """
    starts = [(0, 0), *((place, speaker if speaker < speakers else 0) for place, speaker in turns)]
    ends = [place for place, _ in starts[1:]] + [len(text)]
    parts = ((speaker, text[start:end].strip()) for (start, speaker), end in zip(starts, ends, strict=True))
    return "\n".join(_speaker_text(speaker, words) for speaker, words in parts if words)


def prepare_text(text: str, language: str) -> str:
    """Prepare a text to be spoken in `language` by the four rules of the model's authors.

    Full-width punctuation becomes plain, parentheses become spaces, degrees become words, and a text without a final
    mark gets a full stop: behind an open end the model goes on talking. Lines stay lines.
    """
    words = _DEGREE_WORDS.get(language, _DEGREE_WORDS["en"])
    plain = _DEGREES.sub(lambda degrees: words[degrees[1]], text.translate(_PUNCTUATION))
    prepared = "\n".join(" ".join(line.split()) for line in plain.splitlines() if line.strip())
    return prepared if not prepared or prepared.endswith(_FINAL_MARKS) else f"{prepared}."


def tokenize_phrase(tokenize: Tokenize, text: str) -> tuple[int, ...]:
    """Tokens of the request to speak `text`; follow a voice's prefix."""
    return tuple(tokenize(_user_message(text)))


def _speaker_text(number: int, text: str) -> str:
    return _SPEAKER.format(number=number, text=text)


def _user_message(text: str) -> str:
    return _USER_MESSAGE.format(text=_CONTROL.sub(" ", text).strip())
