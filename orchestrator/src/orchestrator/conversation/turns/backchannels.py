"""Backchannels: what a listener says without wanting the floor ("mhm", "genau", "d'accord"), and what says stop.

The words stand in `listener_words/`, a file for each language; what people in a language also say in another one
("okay", "stop") stands in each file that needs it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from orchestrator.conversation.echo.transcript_echo import shortened, words_of

Phrases = frozenset[tuple[str, ...]]

# A listener who says more than this at once wants to say something.
_MOST_WORDS = 6


@dataclass(frozen=True, slots=True)
class ListenerWords:
    """The listener's words of one language, as `words_of` has them.

    `hums` never say anything but "I am listening". `assents` say yes as well, and answer a question. `stops` ask for
    silence or contradict.
    """

    hums: Phrases = frozenset()
    assents: Phrases = frozenset()
    stops: Phrases = frozenset()

    def is_backchannel(self, words: Sequence[str], *, asked: bool = False, unfinished: bool = False) -> bool:
        """Whether `words` are backchannels and nothing else, said once or over and over.

        `asked`: the anchor has just put a question, so that assent is an answer. `unfinished`: more may be said, so
        that the beginning of one ("of", which may become "of course") will do for the last.
        """
        if not words or len(words) > _MOST_WORDS:
            return False
        return _consists_of(words, self.hums if asked else self.hums | self.assents, unfinished)

    def has_stop(self, words: Sequence[str]) -> bool:
        """Whether somewhere among `words` one asks for silence or contradicts."""
        return any(_begins_with(words[at:], self.stops) for at in range(len(words)))


@cache
def listener_words(language: str) -> ListenerWords:
    """The words of a language; none for one that has no file."""
    file = resources.files("orchestrator.conversation.turns") / "listener_words" / f"{language}.toml"
    if not file.is_file():
        return ListenerWords()
    lists = tomllib.loads(file.read_text(encoding="utf-8"))
    return ListenerWords(*(_phrases(lists[name]) for name in ("hums", "assents", "stops")))


def _phrases(texts: Iterable[str]) -> Phrases:
    return frozenset(words_of(text) for text in texts)


def _consists_of(words: Sequence[str], phrases: Phrases, unfinished: bool) -> bool:
    """Whether `words` can be cut into `phrases`, the last of which may be unfinished."""
    if not words or (unfinished and any(len(phrase) > len(words) and _alike(words, phrase) for phrase in phrases)):
        return True
    lengths = _begins_with(words, phrases)
    return any(_consists_of(words[length:], phrases, unfinished) for length in lengths)


def _begins_with(words: Sequence[str], phrases: Phrases) -> set[int]:
    """The lengths of the `phrases` that `words` begin with."""
    return {len(phrase) for phrase in phrases if len(phrase) <= len(words) and _alike(words, phrase)}


def _alike(words: Sequence[str], phrase: Sequence[str]) -> bool:
    """Whether the two are the same as far as the shorter one goes."""
    return all(_same(word, listed) for word, listed in zip(words, phrase, strict=False))


def _same(word: str, listed: str) -> bool:
    """Whether `word` is the `listed` one, or that one drawn out ("jaaa", "mmmhm")."""
    return word == listed or (len(word) > len(listed) and shortened(word) == shortened(listed))
