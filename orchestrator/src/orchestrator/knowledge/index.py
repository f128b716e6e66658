"""Finds the passage that a question is about, by SQLite's in-memory full-text search ranked by BM25.

The score of a match is its BM25 rank times the share of the question's information that the passage covers. The second
factor separates questions from misrecognised speech, which also matches some passage by a rare word or two, but leaves
most of its words uncovered.
"""

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.knowledge.numbers import spell_numbers
from orchestrator.knowledge.passages import Passage
from orchestrator.knowledge.stop_words import topic_words

# Questions have few topic words; of longer speech, only the first ones are searched.
MAX_QUERY_WORDS = 32

_TOKENIZE = "unicode61 remove_diacritics 2 categories ''L* N* Co Mn Mc''"
_SCHEMA = f"""
create virtual table english using fts5(title, keywords, questions, text, tokenize = 'porter {_TOKENIZE}');
create virtual table other using fts5(title, keywords, questions, text, tokenize = '{_TOKENIZE}');
"""
# BM25 weights of the title, the keywords, the questions and the text.
_WEIGHTS = (4.0, 3.0, 2.0, 1.0)
# Coverage of a word that occurs only in the text, against 1 in the title, keywords or questions.
_MENTION_SHARE = 0.5
_TABLES = ("english", "other")
# Blank passages in each table, so that words are as rare, and scores as high, in a folder of three files as in one of a
# hundred. Their only word matches no question: `split_words` drops characters of private use.
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
class PassageMatch:
    """A passage and its score: 0 for no match, several points for a question about it."""

    passage: Passage
    score: float


class PassageIndex:
    """A full-text index of passages. Immutable; not safe for use by several threads at once."""

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

    def search(self, hypotheses: Sequence[str], language: str) -> list[PassageMatch]:
        """Return the passages in `language` that match any of a question's recognition `hypotheses`, best first.

        The order is by the sum over the hypotheses, since words in several of them are likelier to have been said. The
        score is that of the best hypothesis, since one good hypothesis is enough.
        """
        scores: dict[int, list[float]] = defaultdict(list)
        for hypothesis in dict.fromkeys(hypotheses):
            query = topic_words(spell_numbers(hypothesis, language), language)[:MAX_QUERY_WORDS]
            for rowid, score in self._scores(query, language):
                scores[rowid].append(score)
        ranked = sorted(scores.items(), key=lambda entry: -sum(entry[1]))
        return [PassageMatch(self.passages[rowid], max(of_hypotheses)) for rowid, of_hypotheses in ranked]

    def find_sentence(self, sentence: str) -> tuple[Passage, int] | None:
        """Return the passage that contains `sentence`, and the sentence's index in it; None when no passage does."""
        return self._sentences.get(sentence)

    def _scores(self, query: Sequence[str], language: str) -> list[tuple[int, float]]:
        if not query:
            return []
        covered, total = self._coverage(query, language)
        ranks = self._database.execute(_RANK[_table(language)], (" OR ".join(_quoted(word) for word in query),))
        return [(rowid, rank * covered[rowid] / total) for rowid, rank in ranks if rowid in covered]

    def _coverage(self, query: Sequence[str], language: str) -> tuple[dict[int, float], float]:
        """Return the information of the query that each passage covers, and the query's total information, in bits."""
        count = self._counts[language] + _BACKGROUND
        covered: dict[int, float] = defaultdict(float)
        total = 0.0
        for word in query:
            topical = self._matching_rows(f"{{title keywords questions}} : {_quoted(word)}", language)
            mentioned = self._matching_rows(_quoted(word), language)
            information = math.log2((count + 1) / (len(mentioned) + 0.5))
            total += information
            for rowid in mentioned:
                covered[rowid] += information if rowid in topical else information * _MENTION_SHARE
        return covered, total

    def _matching_rows(self, expression: str, language: str) -> set[int]:
        table = _table(language)
        found = self._database.execute(f"select rowid from {table} where {table} match ?", (expression,))  # noqa: S608
        return {rowid for (rowid,) in found if self.passages[rowid].language == language}


def _columns(passage: Passage) -> tuple[str, str, str, str]:
    """Return the indexed texts, with numbers as words, as in the search."""
    title, keywords, questions, text = (
        spell_numbers(column, passage.language)
        for column in (
            passage.title,
            ", ".join(passage.keywords),
            "\n".join(passage.questions),
            " ".join(passage.sentences),
        )
    )
    return title, keywords, questions, text


def _table(language: str) -> str:
    return "english" if language == "en" else "other"


def _quoted(word: str) -> str:
    return f'"{word}"'
