"""Two recognisers hear every utterance: one that knows our topics, one that knows English. Whom to believe?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# What PocketSphinx and its dictionary write for sounds that are no words.
_NOISE = re.compile(r"<[^>]*>|\[[^\]]*\]|\+\+[^+]*\+\+|\(\d+\)")
_FILLERS = frozenset({"uh", "um", "er", "erm", "hm", "hmm", "mm", "mhm", "uhm"})

# Words that say nothing about what a sentence is about.
_FUNCTION_WORDS = frozenset(
    """
    a about all am an and any are as at be been but by can could did do does for from get give go had has have he her
    him his how i if in into is it its just know latest let like me more my new news no not now of on or our please
    say she should so some something tell than that the their them then there they this to up us was we were what
    what's when where which who why will with would yes you your
    """.split()  # noqa: SIM905 - a list of so many strings is no easier to read
)
# Part of the topical hypothesis' keywords that the general one must have heard too.
AGREEMENT = 0.5


@dataclass(frozen=True, slots=True)
class Hearing:
    """What was heard of one utterance; `general` is None when it did not come in time."""

    topical: str
    general: str | None


def clean(hypothesis: str) -> str:
    """The words of a hypothesis, without noises and fillers."""
    return " ".join(word for word in _NOISE.sub(" ", hypothesis).split() if word not in _FILLERS)


def keywords(text: str) -> set[str]:
    """The words of `text` that say what it is about."""
    return set(text.split()) - _FUNCTION_WORDS


def believed(hearing: Hearing) -> str:
    """The text to show: the topical one, unless the general one contradicts what it is about.

    A recogniser with few words hears them everywhere; the general one is the worse of the two on our topics, but it
    seldom hears a topic's words where nobody said them, nor misses half of them where somebody did.
    """
    if hearing.general is None:
        return hearing.topical
    if not hearing.topical or not hearing.general:
        return ""
    topical = keywords(hearing.topical)
    agreed = topical & keywords(hearing.general)
    return hearing.topical if len(agreed) >= AGREEMENT * len(topical) else hearing.general


def read_together(hearings: Sequence[Hearing]) -> tuple[str, tuple[str, ...]]:
    """A segment's text of all its utterances, and the other readings of it."""
    text = _joined(believed(hearing) for hearing in hearings)
    topical = _joined(hearing.topical for hearing in hearings)
    general = _joined(hearing.topical if hearing.general is None else hearing.general for hearing in hearings)
    others = dict.fromkeys(reading for reading in (topical, general) if reading and reading != text)
    return text, tuple(others)


def _joined(texts: Iterable[str]) -> str:
    return " ".join(text for text in texts if text)
