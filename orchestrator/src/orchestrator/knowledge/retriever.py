"""Finds the passages that answer a question, by two rankings: BM25 over words and cosine over embeddings.

The two are combined by reciprocal rank fusion. Whether the first passage answers at all is decided separately:

1. BM25 finds a passage in the question's language with at least `min_score` points, and either BM25 is sure, or the
   first of the fused order has some evidence by the embeddings too (`MIN_SUPPORTING_EVIDENCE`), or it is BM25's first
   for each of several hypotheses: of misheard speech, the embeddings know little.
2. Otherwise the embeddings are compared with the passages of all languages, or of the question's language only where
   BM25 found words of it there. A passage is accepted when its evidence reaches `MIN_EVIDENCE`; passages in the
   question's language come before others that are about as near.
3. Otherwise nothing is known about it.

docs/adr/0020-retrieval-by-two-rankings.md has the reasons, docs/evaluation.md the measurements.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.knowledge.index import PassageIndex
from orchestrator.knowledge.passages import Passage

# Least BM25 score of an answer. On the questions of orchestrator/tests/llm/briefing/test_retrieval.py, none of these in
# the right passage scores below 4.4.
MIN_SCORE = 4.0
# BM25 score at which the embeddings are not asked. Of the off-topic questions of the set "margin" in tools/eval/data,
# one reaches it, by the keyword "music" of a concert.
SURE_SCORE = 8.0
# BM25 score below which the words of a question occur in its language by chance: the same foreign questions reach 0.5.
CHANCE_SCORE = 1.0
# Reciprocal rank fusion, and its constant: Cormack, Clarke and Buettcher, SIGIR 2009.
RRF_K = 60
# Least evidence of an answer that BM25 does not find: chosen on the sets "margin", where the rules accept 8 of 83
# off-topic questions, and 14 of 18 whose passage is in another language; with 0.960 to 0.970 they accept as many.
MIN_EVIDENCE = 0.965
# Least evidence where both rankings have the same first passage.
MIN_AGREED_EVIDENCE = 0.91
# Least evidence for an answer of BM25 that is not sure, since a lone common word matches some passage too. On the
# questions of test_retrieval.py the right passage has at least 0.88; of eleven questions in the lists `oos_train` and
# `oos_val` of CLINC150 that BM25 would answer so, seven have at most 0.87.
MIN_SUPPORTING_EVIDENCE = 0.875
# A passage in the question's language is preferred to one in another that is nearer by up to this cosine, since
# short passages in other languages come near to any question. On the same questions no right passage is lost by it.
OWN_LANGUAGE_MARGIN = 0.02
# Cosines of the passage that `_evidence` adds up.
_EVIDENCE_TERMS = 3


@dataclass(frozen=True, slots=True)
class RetrievedPassage:
    """A passage for a question. `score` orders the passages of one retrieval only; `confident`: it answers."""

    passage: Passage
    score: float
    confident: bool


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The passages for a question, best first: confident ones, then others in its language, then the rest."""

    matches: tuple[RetrievedPassage, ...] = ()
    language: str = "en"

    @property
    def answer(self) -> Passage | None:
        """The passage that answers the question; None when nothing is known about it."""
        return self.matches[0].passage if self.matches and self.matches[0].confident else None

    @property
    def in_other_language(self) -> bool:
        """Whether the answer is in another language than the question."""
        return self.answer is not None and self.answer.language != self.language


@dataclass(frozen=True, slots=True)
class Similarities:
    """Cosines of a question: to each passage, by id, and to the nearest of the background questions."""

    passages: Mapping[str, float] = field(default_factory=dict[str, float])
    background: float = 0.0


class SemanticScores(Protocol):
    """Similarity of a question's meaning to passages."""

    async def similarities(self, question: str, passages: Sequence[Passage]) -> Similarities:
        """Return the cosines; without passages when there are none in time. Never raises `AnchorError`."""
        ...


class Retriever:
    """Finds passages in a knowledge folder; without `semantic`, by BM25 alone."""

    def __init__(
        self, knowledge: KnowledgeFolder, semantic: SemanticScores | None = None, min_score: float = MIN_SCORE
    ) -> None:
        self.knowledge = knowledge
        self._semantic = semantic
        self._min_score = min_score

    async def find(self, hypotheses: Sequence[str], language: str) -> Retrieval:
        """Return the passages for a question in `language`, given its recognition `hypotheses`, best first.

        One hypothesis is embedded: the first in which BM25 finds a passage, else the first. Takes a few milliseconds,
        or as long as the semantic deadline.
        """
        index = await self.knowledge.current_index()
        similarities = Similarities()
        embedded = self._hypothesis_to_embed(index, hypotheses, language)
        if self._semantic is not None and embedded.strip():
            similarities = await self._semantic.similarities(embedded, index.passages)
        return Retrieval(tuple(self._ranked(index, hypotheses, language, similarities)), language)

    def _hypothesis_to_embed(self, index: PassageIndex, hypotheses: Sequence[str], language: str) -> str:
        for hypothesis in hypotheses[1:] and hypotheses:
            by_words = index.search([hypothesis], language)
            if by_words and by_words[0].score >= self._min_score:
                return hypothesis
        return hypotheses[0] if hypotheses else ""

    def _ranked(
        self, index: PassageIndex, hypotheses: Sequence[str], language: str, similarities: Similarities
    ) -> Iterable[RetrievedPassage]:
        cosines = similarities.passages
        by_words = index.search(hypotheses, language)
        best_points = by_words[0].score if by_words else 0.0
        points = {match.passage.id: match.score for match in by_words}
        passages = {passage.id: passage for passage in index.passages}
        local = {name for name in cosines if passages[name].language == language}
        evidence = _evidence(similarities)
        accepted = _accepted(evidence, local)
        by_meaning = sorted(local, key=lambda name: (-cosines[name], name))
        fused = fuse_rankings([match.passage.id for match in by_words], by_meaning)
        words_answer = best_points >= self._min_score and (
            best_points >= SURE_SCORE
            or _supported(max(fused, key=lambda name: fused[name]), evidence)
            or _hypotheses_agree(index, hypotheses, language)
        )
        if words_answer or not cosines:
            scores: Mapping[str, float] = fused
        else:
            if best_points >= CHANCE_SCORE:
                accepted &= local
                if by_meaning[:1] == [by_words[0].passage.id] and evidence[by_meaning[0]] >= MIN_AGREED_EVIDENCE:
                    accepted.add(by_meaning[0])
            scores = {name: _order(cosines[name], name in accepted, name in local) for name in cosines}
        ranked = sorted(scores.items(), key=lambda entry: -entry[1])
        for place, (name, score) in enumerate(ranked):
            # The first of the fused order answers, though BM25 may have found the second.
            by_words_too = words_answer and (place == 0 or points.get(name, 0.0) >= self._min_score)
            yield RetrievedPassage(passages[name], score, name in accepted or by_words_too)


def fuse_rankings(*rankings: Sequence[str]) -> dict[str, float]:
    """Return the sum of `1 / (RRF_K + rank)` over the rankings that contain an id; ranks count from 1."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, name in enumerate(ranking, 1):
            scores[name] = scores.get(name, 0.0) + 1 / (RRF_K + rank)
    return scores


def _order(cosine: float, accepted: bool, local: bool) -> float:
    """Return the score by meaning: accepted passages first, local ones with their advantage, then other local ones."""
    if accepted:
        return 2 + cosine + (OWN_LANGUAGE_MARGIN if local else 0)
    return cosine + (1 if local else 0)


def _supported(name: str, evidence: Mapping[str, float]) -> bool:
    """Whether the embeddings support BM25's answer `name`, or there are none of it yet."""
    return evidence.get(name, MIN_SUPPORTING_EVIDENCE) >= MIN_SUPPORTING_EVIDENCE


def _hypotheses_agree(index: PassageIndex, hypotheses: Sequence[str], language: str) -> bool:
    """Whether BM25 finds one passage first for each of several hypotheses."""
    found = [index.search([hypothesis], language)[:1] for hypothesis in hypotheses]
    return len(found) > 1 and all(found) and len({match.passage.id for (match,) in found}) == 1


def _evidence(similarities: Similarities) -> dict[str, float]:
    """Return the evidence for each passage: its cosine plus the margins over the mean passage and the background.

    Cosines of multilingual-e5 lie between 0.75 and 0.95 whatever the question is; alone, they tell questions with an
    answer from others worse than with the margins.
    """
    cosines = similarities.passages
    mean = statistics.fmean(cosines.values()) if cosines else 0.0
    return {name: cosine + (cosine - mean) + (cosine - similarities.background) for name, cosine in cosines.items()}


def _accepted(evidence: Mapping[str, float], local: Set[str]) -> set[str]:
    """Return the passages with enough evidence, and the `local` ones almost as near as the nearest of those."""
    accepted = {name for name, value in evidence.items() if value >= MIN_EVIDENCE}
    if accepted:
        nearest = max(evidence.values())
        margin = _EVIDENCE_TERMS * OWN_LANGUAGE_MARGIN
        accepted |= {name for name in local if evidence[name] >= nearest - margin}
    return accepted
