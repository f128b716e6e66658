"""Cuts streamed text into phrases: the first phrase as early as possible, then whole sentences. Pure.

Every character of the text is in exactly one phrase, and phrases are contiguous.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from sentencex import get_sentence_boundaries  # pyright: ignore[reportAttributeAccessIssue]

from tts_service.text.abbreviations import ADDRESS_WORDS, ORDINAL_LANGUAGES, is_abbreviation

_SENTENCE_MARKS = ".!?।॥。！？؟\n"
_PAUSE = re.compile(r"(?:[.!?…,;:।॥。！？؟、，；：]+|(?<=\s)[—–](?=\s)|—|\n)[\"'”’»)\]]*")
_MAY_END_SENTENCE = re.compile(f"[{_SENTENCE_MARKS}…]")
_AFTER_NEWLINE = re.compile(r"(?<=\n)(?=[^\n])")
_CLAUSE_END = re.compile(r"[,;:.!?…।—–]\s")
_SPACE = re.compile(r"\s")

# A first clause shorter than both is not spoken alone.
_MIN_CLAUSE_ALNUMS = 10
_MIN_CLAUSE_WORDS = 3
# Text is processed in slices of this size: sentencex takes quadratic time for a run of new lines (100000 took 230 s).
_SLICE_CHARS = 128
# "Yes." is a sentence, "1." is not.
_MIN_SENTENCE_ALNUMS = 2


@dataclass(frozen=True, slots=True)
class Phrase:
    """A piece of the reply's text: its code points `start` to `end`."""

    start: int
    end: int
    text: str

    @property
    def is_speakable(self) -> bool:
        """Whether the phrase holds a letter or a digit."""
        return has_letters(self.text)


def has_letters(text: str) -> bool:
    """Whether `text` holds a letter or a digit."""
    return any(map(str.isalnum, text))


def find_pauses(text: str, language: str, complete: bool) -> Iterator[int]:
    """Positions in `text` after which a speaker may pause, with a look-ahead of one character.

    Stops at a position that depends on the next character ("3." may become "3.5"), unless the text is `complete`.
    """
    for match in _PAUSE.finditer(text):
        mark, before = match[0][0], text[: match.start()]
        following = text[match.end() : match.end() + 1]
        if mark in ".,:" and before[-1:].isdigit() and not following and not complete:
            return
        if mark in ".,:" and (following.isalnum() or following == "/"):
            continue
        if _belongs_to_word(mark, match[0], before, language):
            continue
        if _is_enough(mark, match[0], before):
            yield match.end()


def _belongs_to_word(mark: str, marks: str, before: str, language: str) -> bool:
    words = before.rsplit(None, 1)
    word = words[-1] if words and not before[-1:].isspace() else ""
    if mark == ":":
        return word.lower() in ADDRESS_WORDS
    if mark != "." or marks.startswith(".."):
        return False
    return is_abbreviation(word, language) or (word[-1:].isdigit() and language in ORDINAL_LANGUAGES)


def _is_enough(mark: str, marks: str, before: str) -> bool:
    if mark in _SENTENCE_MARKS and not marks.startswith(".."):
        return sum(map(str.isalnum, before)) >= _MIN_SENTENCE_ALNUMS
    return _is_clause(before)


def _is_clause(text: str) -> bool:
    alnums = sum(map(str.isalnum, text))
    return alnums >= _MIN_CLAUSE_ALNUMS or (alnums > 0 and len(text.split()) >= _MIN_CLAUSE_WORDS)


def find_sentence_ends(text: str, language: str) -> list[int]:
    """Ends of the sentences in `text` that are followed by more text; a new line always ends a sentence."""
    if not _MAY_END_SENTENCE.search(text):
        return []
    ends = {boundary["end_index"] for boundary in get_sentence_boundaries(language, text)}
    ends.update(match.start() for match in _AFTER_NEWLINE.finditer(text))
    ends.discard(len(text))
    if text.endswith("\n"):
        ends.add(len(text))
    return sorted(ends)


def find_split(text: str, start: int, max_chars: int) -> int:
    """Where to break `text[start:]`, which is too long: after a clause, else after a word, else within the word."""
    limit = start + max_chars
    for pattern, earliest in ((_CLAUSE_END, start + max_chars // 3), (_SPACE, start)):
        ends = [match.end() for match in pattern.finditer(text, earliest, limit)]
        if ends:
            return ends[-1]
    end = limit
    # Do not separate a letter from its accents, or an emoji from its joiners.
    while end > start + max_chars // 2 and _continues_letter(text, end):
        end -= 1
    return end


def _continues_letter(text: str, place: int) -> bool:
    return unicodedata.category(text[place])[0] == "M" or "\u200d" in text[place - 1 : place + 1]


class PhraseCutter:
    """Cuts the text of one reply, pushed in deltas, into phrases."""

    def __init__(self, language: str, max_chars: int) -> None:
        self._language = language
        self._max_chars = max_chars
        self._buffer = ""
        # Position of the buffer in the reply's text.
        self._start = 0
        self._first_phrase_is_cut = False

    @property
    def has_speakable_text(self) -> bool:
        """Whether the buffered text holds a letter or a digit."""
        return has_letters(self._buffer)

    def push_text(self, text: str) -> list[Phrase]:
        """Add text; return the phrases that are complete now."""
        slices = (text[start : start + _SLICE_CHARS] for start in range(0, len(text), _SLICE_CHARS))
        return [phrase for piece in slices for phrase in self._push_slice(piece)]

    def _push_slice(self, text: str) -> list[Phrase]:
        self._buffer += text
        phrases: list[Phrase] = []
        if not self._first_phrase_is_cut and (
            end := next(find_pauses(self._buffer, self._language, complete=False), 0)
        ):
            phrases += self._cut_at([end])
        if self._first_phrase_is_cut:
            phrases += self._cut_at(find_sentence_ends(self._buffer, self._language))
        if len(self._buffer) > self._max_chars:
            phrases += self._cut_too_long()
        return phrases

    def cut_early(self, stalled: bool) -> list[Phrase]:
        """Cut before the sentence is complete: at the end of a clause, or of a word if the text has `stalled`."""
        ends = list(find_pauses(self._buffer, self._language, complete=stalled))
        if not ends and stalled:
            spaces = (match.end() for match in _SPACE.finditer(self._buffer))
            ends = [end for end in spaces if _is_clause(self._buffer[:end])]
        return self._cut_at(ends[-1:])

    def end_text(self) -> list[Phrase]:
        """Return the rest of the text as phrases."""
        phrases = self._cut_at(find_sentence_ends(self._buffer, self._language)) if self._first_phrase_is_cut else []
        return phrases + self._cut_at([len(self._buffer)] if self._buffer else [])

    def _cut_at(self, ends: list[int]) -> list[Phrase]:
        """Cut the buffer at `ends`, and also wherever a phrase would exceed the maximum length."""
        phrases: list[Phrase] = []
        start = 0
        for end in ends:
            while end - start > self._max_chars:
                start = self._append_phrase(phrases, start, find_split(self._buffer, start, self._max_chars))
            start = self._append_phrase(phrases, start, end)
        self._drop_prefix(start)
        return phrases

    def _cut_too_long(self) -> list[Phrase]:
        phrases: list[Phrase] = []
        start = 0
        while len(self._buffer) - start > self._max_chars:
            start = self._append_phrase(phrases, start, find_split(self._buffer, start, self._max_chars))
        self._drop_prefix(start)
        return phrases

    def _append_phrase(self, phrases: list[Phrase], start: int, end: int) -> int:
        phrase = Phrase(self._start + start, self._start + end, self._buffer[start:end])
        self._first_phrase_is_cut = self._first_phrase_is_cut or phrase.is_speakable
        phrases.append(phrase)
        return end

    def _drop_prefix(self, chars: int) -> None:
        self._buffer = self._buffer[chars:]
        self._start += chars
