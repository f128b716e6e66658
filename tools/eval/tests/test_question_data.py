"""The questions that judge the search: they name passages that exist, and keep what their headers say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import soundfile
from orchestrator.knowledge.embeddings.semantic_index import BACKGROUND_QUESTIONS
from orchestrator.knowledge.passages import Passage, read_passage
from orchestrator.knowledge.stop_words import split_words, topic_words

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tools" / "eval" / "data"


def _questions(name: str) -> list[dict[str, Any]]:
    (entries,) = tomllib.loads((DATA / name).read_text("utf-8")).values()
    return entries


@pytest.fixture(scope="module")
def passages() -> dict[str, Passage]:
    return {path.stem: read_passage(path, path.stem) for path in (ROOT / "content" / "knowledge").glob("*.md")}


def _stem(word: str) -> str:
    return re.sub(r"(ing|ers?|ed|s)$", "", word)


def test_seventy_paraphrases_name_english_passages(passages: dict[str, Passage]) -> None:
    paraphrases = _questions("paraphrases.toml")
    assert len(paraphrases) == len({entry["question"] for entry in paraphrases}) == 70
    assert {passages[entry["passage"]].language for entry in paraphrases} == {"en"}


def test_half_of_the_paraphrases_have_no_title_word(passages: dict[str, Passage]) -> None:
    paraphrases = [entry for entry in _questions("paraphrases.toml") if not entry["title_words"]]
    assert len(paraphrases) >= 35
    for entry in paraphrases:
        title = {_stem(word) for word in topic_words(passages[entry["passage"]].title, "en")}
        shared = title & {_stem(word) for word in topic_words(entry["question"], "en")}
        assert not shared, (entry["question"], shared)


def test_no_paraphrase_is_a_listed_question(passages: dict[str, Passage]) -> None:
    listed = {question.lower() for passage in passages.values() for question in passage.questions}
    assert not listed & {entry["question"].lower() for entry in _questions("paraphrases.toml")}


def test_each_paraphrase_has_its_recording() -> None:
    paths = sorted((DATA / "audio").glob("*.flac"))
    assert [path.stem for path in paths] == [f"{number:03}" for number in range(1, 71)]
    for path in paths:
        info = soundfile.info(path)
        assert (info.samplerate, info.channels) == (16_000, 1)
        assert 0.5 < info.duration < 8


def test_foreign_questions_ask_for_english_passages(passages: dict[str, Passage]) -> None:
    for entry in _questions("foreign.toml"):
        assert passages[entry["passage"]].language == "en"
        assert entry["language"] in {"de", "fr", "es", "it", "nl", "pt"}


def test_off_topic_questions_are_in_four_languages() -> None:
    for group, size in {"margin": 83, "held-out": 20, "blind": 42}.items():
        members = [entry for entry in _questions("off-topic.toml") if entry["set"] == group]
        assert len(members) == size
        assert {entry["language"] for entry in members} == {"en", "de", "es", "fr"}
    assert len(_questions("off-topic-clinc150.toml")) == 100


def test_the_search_knows_no_question_that_judges_it() -> None:
    names = ("paraphrases.toml", "foreign.toml", "off-topic.toml", "off-topic-clinc150.toml")
    asked = {tuple(split_words(entry["question"])) for name in names for entry in _questions(name)}
    assert not asked & {tuple(split_words(question)) for question in BACKGROUND_QUESTIONS}
