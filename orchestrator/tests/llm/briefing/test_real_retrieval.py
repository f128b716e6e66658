"""Retrieval with the real embeddings over the shipped content: questions find their passage, others find none."""

from __future__ import annotations

import asyncio
import shutil
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from orchestrator.knowledge.embeddings import semantic_index
from orchestrator.knowledge.embeddings.embedder import EmbeddingProcess
from orchestrator.knowledge.embeddings.semantic_index import SemanticIndex, SemanticState
from orchestrator.knowledge.embeddings.vector_file import VectorFile
from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.knowledge.retriever import Retriever
from orchestrator.llm.briefing.intents import detect_intent
from orchestrator.wiring import embedding_model

ROOT = Path(__file__).parents[4]
DATA = ROOT / "tools" / "eval" / "data"
# What a mesh on this machine has computed already is not computed again.
BUILT = ROOT / "models" / "knowledge-vectors.bin"
BUILD_S = 300
PARAPHRASES_RIGHT = 0.75
OFF_TOPIC_ANSWERED = 0.15
FOREIGN_RIGHT = 0.6


def questions(path: Path) -> list[dict[str, str]]:
    (entries,) = tomllib.loads(path.read_text("utf-8")).values()
    return entries


PARAPHRASES = questions(DATA / "paraphrases.toml")
OFF_TOPIC = questions(DATA / "off-topic.toml")
FOREIGN = questions(DATA / "foreign.toml")
SHIPPED = questions(ROOT / "content" / "questions" / "questions.toml")


@pytest.fixture
async def retriever(tmp_path: Path) -> AsyncIterator[Retriever]:
    knowledge = KnowledgeFolder(ROOT / "content" / "knowledge")
    knowledge.load()
    if BUILT.exists():
        shutil.copy(BUILT, tmp_path)
    vectors = VectorFile(tmp_path / BUILT.name, embedding_model())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(semantic_index, "_PAUSE_S", 0.0)
        semantic = SemanticIndex(knowledge, EmbeddingProcess(), vectors, deadline_s=30)
        async with semantic.running():
            async with asyncio.timeout(BUILD_S):
                while semantic.state is not SemanticState.READY:
                    assert not semantic.failure
                    await asyncio.sleep(0.1)
            yield Retriever(knowledge, semantic)


async def answer(retriever: Retriever, question: str, language: str = "en") -> str:
    found = await retriever.find([question], language)
    return found.answer.id if found.answer else ""


async def test_questions_find_their_passage(retriever: Retriever):
    shipped = {entry["text"]: await answer(retriever, entry["text"]) for entry in SHIPPED}
    assert shipped == {entry["text"]: entry["topic"] for entry in SHIPPED}
    right = [await answer(retriever, entry["question"]) == entry["passage"] for entry in PARAPHRASES]
    assert sum(right) / len(right) >= PARAPHRASES_RIGHT
    foreign = [await answer(retriever, entry["question"], entry["language"]) == entry["passage"] for entry in FOREIGN]
    assert sum(foreign) / len(foreign) >= FOREIGN_RIGHT
    answered = [bool(await answer(retriever, entry["question"], entry["language"])) for entry in OFF_TOPIC]
    assert sum(answered) / len(answered) <= OFF_TOPIC_ANSWERED


@pytest.mark.parametrize(
    ("question", "language"),
    [
        *((entry["question"], "en") for entry in PARAPHRASES),
        *((entry["text"], "en") for entry in SHIPPED),
        *((entry["question"], entry["language"]) for entry in (*OFF_TOPIC, *FOREIGN)),
    ],
)
def test_no_question_is_taken_for_a_command(question: str, language: str):
    assert detect_intent(question, language, "Nora") is None
