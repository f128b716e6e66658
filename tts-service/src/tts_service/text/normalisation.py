"""Removes unspoken characters from a phrase and maps each spoken character to its place in the source. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from tts_service.engine import SpeakerTurn
from tts_service.text.phrases import has_letters

_UNSPOKEN = re.compile(
    r"""
      \[SPEAKER\d\][ \t]*
    | (?P<sign>[\u200b\ufeff\ufe0f\ud800-\udfff] | (?![\t\n])[\x00-\x1f\x7f-\x9f])
    """,
    re.VERBOSE,
)
_SPEAKER = re.compile(r"\[SPEAKER(\d)\]")
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class NormalisedText:
    """Text as it is spoken; `origins[i]` is the index of its `i`-th character in the source text."""

    text: str
    origins: tuple[int, ...]
    # The tags of the source text, `[SPEAKER1]`, each at the start of its part of `text`.
    speaker_turns: tuple[SpeakerTurn, ...] = ()

    @property
    def is_speakable(self) -> bool:
        """Whether the text holds a letter or a digit."""
        return has_letters(self.text)


def normalise_text(written: str) -> NormalisedText:
    """Remove speaker tags, and characters that no engine speaks: control characters, marks without width.

    Markup, signs and money are normalised by the orchestrator, so that captions and history hold what is spoken.
    """
    characters: list[str] = []
    origins: list[int] = []
    for start, end in _spoken_spans(written):
        characters.append(written[start:end] if end > start else " ")
        origins.extend(range(start, end) if end > start else (start,))
    turns = ((bisect_left(origins, tag.end()), int(tag[1])) for tag in _SPEAKER.finditer(written))
    return NormalisedText("".join(characters), tuple(origins), tuple(turns))


def _spoken_spans(written: str) -> Iterator[tuple[int, int]]:
    """Spans of `written` that are spoken; an empty span stands for a space."""
    start = 0
    for match in _UNSPOKEN.finditer(written):
        yield from _nonempty(start, match.start())
        start = match.end()
        if match["sign"]:
            yield match.start(), match.start()
    yield from _nonempty(start, len(written))


def _nonempty(start: int, end: int) -> Iterator[tuple[int, int]]:
    if end > start:
        yield start, end


class WordMarks:
    """The words of a phrase that have started: yields each once, in order, although engines skip and repeat words."""

    def __init__(self, spoken: NormalisedText) -> None:
        self._origins = spoken.origins
        self._words = [match.span() for match in _WORD.finditer(spoken.text) if has_letters(match[0])]

    def pop_until(self, first_char: int, chars: int) -> list[tuple[int, int]]:
        """Spans in the source text of the words that start up to the word of `chars` characters at `first_char`."""
        count = next((i for i, (start, _) in enumerate(self._words) if start >= first_char + max(chars, 1)), None)
        return self._pop(len(self._words) if count is None else count)

    def pop_remaining(self) -> list[tuple[int, int]]:
        """Spans in the source text of all remaining words."""
        return self._pop(len(self._words))

    def _pop(self, count: int) -> list[tuple[int, int]]:
        words, self._words = self._words[:count], self._words[count:]
        return [(self._origins[start], self._origins[end - 1] + 1) for start, end in words]
