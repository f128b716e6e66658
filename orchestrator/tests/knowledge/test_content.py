"""The shipped passages, and the recorded questions about them."""

import re
import tomllib
import wave
from collections import Counter
from pathlib import Path

import pytest
from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.knowledge.passages import Passage
from orchestrator.knowledge.stop_words import split_words

CONTENT = Path(__file__).parents[3] / "content"
QUESTIONS = tomllib.loads((CONTENT / "questions" / "questions.toml").read_text("utf-8"))["question"]


@pytest.fixture
async def passages() -> tuple[Passage, ...]:
    folder = KnowledgeFolder(CONTENT / "knowledge")
    folder.load()
    return (await folder.current_index()).passages


def test_every_language_has_passages(passages: tuple[Passage, ...]):
    counts = Counter(passage.language for passage in passages)
    assert counts.pop("en") >= 36
    assert counts.keys() == {"es", "fr", "pt", "hi", "de", "nl", "it"}


def test_passages_are_suitable_for_speech(passages: tuple[Passage, ...]):
    for passage in passages:
        assert 60 <= sum(len(sentence.split()) for sentence in passage.sentences) <= 140, passage.id
        assert len(passage.sentences[0].split()) <= 18, passage.id
        assert not re.search(r"[0-9*_#<>\[\]{}]", " ".join(passage.sentences)), passage.id
        assert 3 <= len(passage.questions) <= 5, passage.id
        assert passage.keywords, passage.id


def test_titles_are_unique(passages: tuple[Passage, ...]):
    assert len({(passage.language, passage.title) for passage in passages}) == len(passages)


def test_spoken_questions_are_not_in_the_passages(passages: tuple[Passage, ...]):
    known = {" ".join(split_words(text)) for passage in passages for text in (*passage.questions, *passage.sentences)}
    assert not known & {" ".join(split_words(question["text"])) for question in QUESTIONS}
    assert {question["topic"] for question in QUESTIONS} <= {passage.id for passage in passages}
    assert len({question["voice"] for question in QUESTIONS}) >= 3


def test_spoken_questions_are_small_recordings():
    paths = [CONTENT / "questions" / question["file"] for question in QUESTIONS]
    assert {path.name for path in paths} == {path.name for path in (CONTENT / "questions").glob("*.wav")}
    assert sum(path.stat().st_size for path in paths) <= 1_000_000
    for path in paths:
        with wave.open(str(path)) as recording:
            assert (recording.getnchannels(), recording.getsampwidth(), recording.getframerate()) == (1, 2, 16000)
            assert recording.getnframes() <= 3 * 16000
