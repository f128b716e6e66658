"""The judge of answers, and the judged set: every expected fact stands in its passage."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from eval_answers import ROOT, Question, judge, read_questions
from orchestrator.knowledge.passages import read_passage
from orchestrator.llm.local.answer_check import spelled_numbers

QUESTIONS = read_questions()
FACTS = [question for question in QUESTIONS if question.kind == "fact"]
# Answers that a passage gives in other words than the expected yes or no, or as a result that is spelled out.
COST = Question("fact", "What does it cost?", facts=("four crowns",), wrong=("five",))


def test_the_set_has_forty_facts_and_every_fixed_case() -> None:
    kinds = Counter(question.kind for question in QUESTIONS)
    assert kinds["fact"] >= 40
    assert all(kinds[kind] for kind in ("absent", "off_topic", "identity", "harm", "silence", "small_talk"))
    assert len({question.text for question in QUESTIONS}) == len(QUESTIONS)


@pytest.mark.parametrize("question", FACTS, ids=lambda question: question.text)
def test_expected_fact_stands_in_the_passage(question: Question) -> None:
    passage = read_passage(ROOT / "content/knowledge" / f"{question.passage}.md", question.passage)
    text = spelled_numbers(" ".join(passage.sentences))
    assert any(re.search(fact, text, re.IGNORECASE) for fact in question.facts)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("A ticket costs four crowns.", "right"),
        ("It is 4 crowns.", "right"),
        ("It costs five crowns, not four crowns.", "wrong"),
        ("My notes do not say that.", "refused"),
        ("It is cheap.", "wrong"),
    ],
)
def test_fact_is_judged_by_its_patterns(answer: str, verdict: str) -> None:
    assert judge(COST, answer) == verdict


@pytest.mark.parametrize(
    ("kind", "answer", "verdict"),
    [
        ("off_topic", "I have nothing on that, I am afraid.", "right"),
        ("off_topic", "Paris.", "wrong"),
        ("absent", "My notes do not say that.", "right"),
        ("absent", "The pool is open again.", "right"),
        ("absent", "No, there is no sauna.", "wrong"),
    ],
)
def test_refusal_is_right_where_nothing_is_known(kind: str, answer: str, verdict: str) -> None:
    assert judge(Question(kind, "Is there a sauna?", wrong=("no sauna",)), answer) == verdict


def test_request_for_silence_allows_few_words() -> None:
    silence = Question("silence", "Stop.", facts=(".",), max_words=6)
    assert judge(silence, "All right.") == "right"
    assert judge(silence, "Sorry, I did not catch that. Could you say it again?") == "wrong"
