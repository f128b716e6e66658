"""Backchannels: a listener's words that do not take the turn ("mhm", "genau", "d'accord"), and words that say stop.

`listener_words/` holds one file per language; words shared between languages ("okay", "stop") stand in each of them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from orchestrator.conversation.echo.transcript_echo import shortened, words_of

Phrases = frozenset[tuple[str, ...]]

# More words than this are never a backchannel.
_MOST_WORDS = 6


@dataclass(frozen=True, slots=True)
class ListenerWords:
    """The listener's words of one language, normalised by `words_of`.

    `hums` mean only "I am listening". `assents` also say yes, and therefore answer a question. `stops` ask for silence
    or contradict.
    """

    hums: Phrases = frozenset()
    assents: Phrases = frozenset()
    stops: Phrases = frozenset()

    def is_backchannel(self, words: Sequence[str], *, asked: bool = False, unfinished: bool = False) -> bool:
        """Whether `words` are only backchannels, once or repeated.

        `asked`: the anchor has just asked a question, so an assent is an answer. `unfinished`: more words may follow,
        so the last backchannel may be incomplete ("of", of "of course").
        """
        if not words or len(words) > _MOST_WORDS:
            return False
        return _consists_of(words, self.hums if asked else self.hums | self.assents, unfinished)

    def has_stop(self, words: Sequence[str]) -> bool:
        """Whether `words` contain one that asks for silence or contradicts."""
        return any(_matching_lengths(words[at:], self.stops) for at in range(len(words)))


@cache
def listener_words(language: str) -> ListenerWords:
    """The words of a language; empty for a language without a file."""
    file = resources.files("orchestrator.conversation.turns") / "listener_words" / f"{language}.toml"
    if not file.is_file():
        return ListenerWords()
    lists = tomllib.loads(file.read_text(encoding="utf-8"))
    return ListenerWords(*(_phrases(lists[name]) for name in ("hums", "assents", "stops")))


def _phrases(texts: Iterable[str]) -> Phrases:
    return frozenset(words_of(text) for text in texts)


def _consists_of(words: Sequence[str], phrases: Phrases, unfinished: bool) -> bool:
    """Whether `words` can be split into `phrases`, the last of which may be unfinished."""
    if not words or (
        unfinished and any(len(phrase) > len(words) and _is_prefix_of_other(words, phrase) for phrase in phrases)
    ):
        return True
    lengths = _matching_lengths(words, phrases)
    return any(_consists_of(words[length:], phrases, unfinished) for length in lengths)


def _matching_lengths(words: Sequence[str], phrases: Phrases) -> set[int]:
    """The lengths of the `phrases` that `words` begin with."""
    return {len(phrase) for phrase in phrases if len(phrase) <= len(words) and _is_prefix_of_other(words, phrase)}


def _is_prefix_of_other(words: Sequence[str], phrase: Sequence[str]) -> bool:
    """Whether the two are equal up to the length of the shorter one."""
    return all(_is_same_word(word, listed) for word, listed in zip(words, phrase, strict=False))


def _is_same_word(word: str, listed: str) -> bool:
    """Whether `word` is `listed`, or `listed` drawn out ("jaaa", "mmmhm")."""
    return word == listed or (len(word) > len(listed) and shortened(word) == shortened(listed))
