"""Shapes a model's sentence: trims its silence, sets its level, and places its words. Pure.

Models that speak whole sentences put 0.3 s of silence before and 0.5 s after each: before the first word it is latency,
and between a reply's phrases it adds up to a pause of 0.8 s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# -50 dBFS: quieter than any speech sound of these models, louder than their silence.
_SILENT = 10 ** (-50 / 20)
_LEAD_MS = 40
# The pause after a sentence, and after a clause or a cut.
_SENTENCE_PAUSE_MS = 320
_CLAUSE_PAUSE_MS = 140
_SENTENCE_END = re.compile(r"[.!?…。।][\"'”’»)\]]*\s*$")

_WORD = re.compile(r"\S+")
# A digit is about a word ("7"), and a comma a short pause, in letters.
_LETTERS_PER_DIGIT = 4
_LETTERS_PER_PAUSE = 3
_PAUSES = frozenset(",;:—–")


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """`chars` characters from `first_char` are spoken from `first_sample` on."""

    first_char: int
    chars: int
    first_sample: int


def shape_speech(samples: NDArray[np.float32], gain: float, rate_hz: int, ends_sentence: bool) -> NDArray[np.float32]:
    """Trim the silence around speech and multiply it by `gain`; silence alone becomes nothing at all."""
    loud = np.flatnonzero(np.abs(samples) > _SILENT)
    if loud.size == 0:
        return np.zeros(0, np.float32)
    pause_ms = _SENTENCE_PAUSE_MS if ends_sentence else _CLAUSE_PAUSE_MS
    start = max(int(loud[0]) - rate_hz * _LEAD_MS // 1000, 0)
    end = int(loud[-1]) + rate_hz * pause_ms // 1000
    return (samples[start:end] * np.float32(gain)).astype(np.float32)


def active_level(samples: NDArray[np.float32], rate_hz: int) -> float:
    """RMS of the frames of 20 ms within 30 dB of the loudest: the level of the speech without its pauses."""
    size = rate_hz // 50
    frames = samples[: samples.size // size * size].reshape(-1, size)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    return float(np.sqrt(np.mean(power[power >= power.max() / 1000]))) if power.size else 0.0


def ends_sentence(text: str) -> bool:
    """Whether `text` ends as a sentence does."""
    return _SENTENCE_END.search(text) is not None


class WordPlaces:
    """The words of a text, each placed by the share of the letters before it: models return no times of words."""

    def __init__(self, text: str, first_char: int) -> None:
        """`first_char` is where `text` begins in the phrase."""
        spans = [match.span() for match in _WORD.finditer(text)]
        before = np.concatenate(([0.0], np.cumsum([_letters(text[start:end]) for start, end in spans])))
        shares = before / max(float(before[-1]), 1.0)
        self._words = [
            (first_char + span[0], span[1] - span[0], float(share)) for span, share in zip(spans, shares, strict=False)
        ]

    def pop_until(self, share: float, start_share: float, samples: NDArray[np.float32], first: int) -> list[SpokenWord]:
        """Place the words of the text's part from `start_share` to `share`, which `samples` speak.

        `first` is the number of samples of the phrase before them.
        """
        loud = np.flatnonzero(np.abs(samples) > _SILENT)
        start, length = (int(loud[0]), int(loud[-1] - loud[0])) if loud.size else (0, 0)
        width = max(share - start_share, 1e-9)
        placed: list[SpokenWord] = []
        while self._words and (self._words[0][2] < share or share >= 1):
            char, chars, place = self._words.pop(0)
            offset = int(length * min(max((place - start_share) / width, 0.0), 1.0))
            placed.append(SpokenWord(char, chars, first + start + offset))
        return placed


def _letters(word: str) -> float:
    return 1 + sum(
        _LETTERS_PER_DIGIT if character.isdigit() else _LETTERS_PER_PAUSE if character in _PAUSES else 1
        for character in word
    )
