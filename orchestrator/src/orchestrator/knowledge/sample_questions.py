"""Chooses questions of the knowledge folder that a client may offer to a user who does not know what to ask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, zip_longest

from orchestrator.knowledge.passages import Passage, PassageKind

# For each language.
MAX_QUESTIONS = 3
# A longer question does not fit a button; a file may hold one of any length.
MAX_QUESTION_CHARS = 120

_KINDS = (PassageKind.NEWS, PassageKind.GUIDE, PassageKind.NOTE, PassageKind.ABOUT)


def sample_questions(passages: Iterable[Passage]) -> Mapping[str, tuple[str, ...]]:
    """Return up to `MAX_QUESTIONS` questions for each language that has any, each on one line.

    They come from different kinds of passages in turn, from the first passages of the folder. Questions that are too
    long, or hold control characters or characters that turn the direction of text, are left out.
    """
    by_language: dict[str, dict[PassageKind, list[Passage]]] = {}
    for passage in passages:
        by_language.setdefault(passage.language, {}).setdefault(passage.kind, []).append(passage)
    chosen = {
        language: tuple(islice(dict.fromkeys(_in_turn(kinds)), MAX_QUESTIONS))
        for language, kinds in by_language.items()
    }
    return {language: questions for language, questions in chosen.items() if questions}


def _questions(passages: Sequence[Passage]) -> Iterator[str]:
    """Yield the first question of each passage, then the second of each, and so on."""
    usable = [[each for each in passage.questions if _is_usable(each)] for passage in passages]
    return (question for rank in zip_longest(*usable) for question in rank if question is not None)


def _in_turn(kinds: Mapping[PassageKind, Sequence[Passage]]) -> Iterator[str]:
    groups = [_questions(kinds.get(kind, ())) for kind in _KINDS]
    return (question for question in chain.from_iterable(zip_longest(*groups)) if question is not None)


def _is_usable(question: str) -> bool:
    return 0 < len(question) <= MAX_QUESTION_CHARS and question.isprintable()
