"""Finds the passage that a question is about: SQLite's full-text search, in memory, ranked by BM25.

The score of a match is its BM25 rank times the share of the question that the passage covers. The second factor is
what tells a question from badly recognised speech: such speech, too, meets some passage with a rare word or two,
but leaves most of what was said unexplained.
"""

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.knowledge.passages import Passage
from orchestrator.knowledge.stop_words import topic_words

# A question has few words that matter; a long speech is searched by its first ones.
MAX_QUERY_WORDS = 32

_TOKENIZE = "unicode61 remove_diacritics 2 categories ''L* N* Co Mn Mc''"
_SCHEMA = f"""
create virtual table english using fts5(title, keywords, questions, text, tokenize = 'porter {_TOKENIZE}');
create virtual table other using fts5(title, keywords, questions, text, tokenize = '{_TOKENIZE}');
"""
# How much a word counts in the title, the keywords, the questions and the text.
_WEIGHTS = (4.0, 3.0, 2.0, 1.0)
# What a word counts as explained that only stands in the text.
_MENTION = 0.5
_TABLES = ("english", "other")
# Passages about nothing that stand in each table, so that words are as rare, and scores as high, in a folder of three
# files as in one of a hundred. Their only word is in no question: `words` drops characters of private use.
_BACKGROUND = 50
_BACKGROUND_TEXT = " ".join(["\ue000"] * 100)
_INSERT = {
    table: f"insert into {table} (rowid, title, keywords, questions, text) values (?, ?, ?, ?, ?)"  # noqa: S608
    for table in _TABLES
}
_RANK = {
    table: f"select rowid, -bm25({table}, {', '.join(map(str, _WEIGHTS))}) from {table} where {table} match ?"  # noqa: S608
    for table in _TABLES
}


@dataclass(frozen=True, slots=True)
class Match:
    """A passage and how well it fits: 0 is not at all; a question about it scores several points."""

    passage: Passage
    score: float


class PassageIndex:
    """An index over passages. Immutable; used by one thread at a time."""

    def __init__(self, passages: Iterable[Passage]) -> None:
        self.passages = tuple(passages)
        self._counts: dict[str, int] = defaultdict(int)
        for passage in self.passages:
            self._counts[passage.language] += 1
        self._sentences = {
            sentence: (passage, number)
            for passage in self.passages
            for number, sentence in enumerate(passage.sentences)
        }
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.executescript(_SCHEMA)
        for table in _TABLES:
            background = ((len(self.passages) + number, "", "", "", _BACKGROUND_TEXT) for number in range(_BACKGROUND))
            self._database.executemany(_INSERT[table], background)
        for rowid, passage in enumerate(self.passages):
            self._database.execute(_INSERT[_table(passage.language)], (rowid, *_columns(passage)))

    def search(self, readings: Sequence[str], language: str) -> list[Match]:
        """Passages in `language` that fit any of the `readings` of a question, best first.

        The order is by the sum over the readings, since what two recognisers heard is likelier to have been said. The
        score is that of the best reading, since one good reading is enough.
        """
        scores: dict[int, list[float]] = defaultdict(list)
        for reading in dict.fromkeys(readings):
            for rowid, score in self._scores(topic_words(reading, language)[:MAX_QUERY_WORDS], language):
                scores[rowid].append(score)
        ranked = sorted(scores.items(), key=lambda entry: -sum(entry[1]))
        return [Match(self.passages[rowid], max(each)) for rowid, each in ranked]

    def find(self, sentence: str) -> tuple[Passage, int] | None:
        """The passage that holds `sentence`, and the sentence's number from 0; None when none does."""
        return self._sentences.get(sentence)

    def _scores(self, query: Sequence[str], language: str) -> list[tuple[int, float]]:
        if not query:
            return []
        covered, said = self._coverage(query, language)
        ranks = self._database.execute(_RANK[_table(language)], (" OR ".join(_quoted(word) for word in query),))
        return [(rowid, rank * covered[rowid] / said) for rowid, rank in ranks if rowid in covered]

    def _coverage(self, query: Sequence[str], language: str) -> tuple[dict[int, float], float]:
        """How much of the question each passage explains, and how much there is to explain, in bits of surprise."""
        count = self._counts[language] + _BACKGROUND
        covered: dict[int, float] = defaultdict(float)
        said = 0.0
        for word in query:
            topical = self._having(f"{{title keywords questions}} : {_quoted(word)}", language)
            mentioned = self._having(_quoted(word), language)
            surprise = math.log2((count + 1) / (len(mentioned) + 0.5))
            said += surprise
            for rowid in mentioned:
                covered[rowid] += surprise if rowid in topical else surprise * _MENTION
        return covered, said

    def _having(self, expression: str, language: str) -> set[int]:
        table = _table(language)
        found = self._database.execute(f"select rowid from {table} where {table} match ?", (expression,))  # noqa: S608
        return {rowid for (rowid,) in found if self.passages[rowid].language == language}


def _columns(passage: Passage) -> tuple[str, str, str, str]:
    return passage.title, ", ".join(passage.keywords), "\n".join(passage.questions), " ".join(passage.sentences)


def _table(language: str) -> str:
    return "english" if language == "en" else "other"


def _quoted(word: str) -> str:
    return f'"{word}"'
